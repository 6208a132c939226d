//! Why `local` does not run, or not to its end.

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

/// Why the pipeline does not run, or the demo cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another endpoint than its own.
    #[error(
        "local starts its own engine on this machine; omit --endpoint-url, and choose the engine's port with --port"
    )]
    Endpoint,
    /// A definition, which the demo would not use.
    #[error("the demo runs only the example; omit --definition, and unset ROLLUP_VIEW_DEFINITION")]
    Definition,
    /// The user's own tables.
    #[error(transparent)]
    OwnTables(#[from] OwnTablesError),
    /// An item that the engine does not take.
    #[error(transparent)]
    Load(#[from] TableError),
    /// The template, or a value for it.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The function's settings.
    #[error("the function's settings: {0}")]
    Config(#[from] ConfigError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A table.
    #[error(transparent)]
    TableSetup(#[from] TableSetupError),
    /// The source table's stream is not there.
    #[error("the engine did not create a stream for the table {0}")]
    NoStream(String),
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The engine refuses something to the demo.
    #[error(transparent)]
    DemoTable(#[from] DemoTableError),
    /// An audit of the demo.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}
