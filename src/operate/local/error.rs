//! Why `local` does not start, or stops early.

use std::io;

use super::demo::table::DemoTableError;
use super::engine::EngineError;
use super::own_tables::OwnTablesError;
use super::table_setup::TableSetupError;
use super::template::TemplateError;
use crate::config::ConfigError;
use crate::operate::audit::error::AuditError;
use crate::operate::error::TableError;
use crate::operate::stream::StreamError;

/// Why the pipeline does not start, or the demo cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// An endpoint was given, but `local` uses its own.
    #[error(
        "local starts its own engine on this machine; omit --endpoint-url, and choose the engine's port with --port"
    )]
    Endpoint,
    /// A definition was given, which the demo would ignore.
    #[error("the demo runs only the example; omit --definition, and unset ROLLUP_VIEW_DEFINITION")]
    Definition,
    /// The user's own tables cannot be used.
    #[error(transparent)]
    OwnTables(#[from] OwnTablesError),
    /// The engine refused an item of `--load`.
    #[error(transparent)]
    Load(#[from] TableError),
    /// The template, or a value for one of its parameters, cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A setting of the function is missing or invalid.
    #[error("the function's settings: {0}")]
    Config(#[from] ConfigError),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A table cannot be created, or is not as declared.
    #[error(transparent)]
    TableSetup(#[from] TableSetupError),
    /// The source table has no stream.
    #[error("the engine did not create a stream for the table {0}")]
    NoStream(String),
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The engine refused a request of the demo.
    #[error(transparent)]
    DemoTable(#[from] DemoTableError),
    /// The demo's audit failed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Output or signal handling failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
