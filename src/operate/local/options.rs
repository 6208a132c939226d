//! What `ddb-rollup local` is told.

use std::path::PathBuf;

use crate::operate::args;

/// Run the whole pipeline on this machine: tables, stream, poller, function
///
/// Starts a DynamoDB engine in this process, makes the tables as template.json declares them, delivers the stream to
/// the function as Lambda does, and writes a line for every view item that changes. The engine is for trying out: it
/// slows down when its stream holds more than a few thousand changes.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Port of the engine on this machine [default: 8000, with --demo any that is free]
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub port: Option<u16>,

    /// File that keeps the tables; without it they are gone at the end
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub data: Option<PathBuf>,

    /// Where records go that are given up: a folder, or a file of lines when the name ends in .jsonl
    #[arg(long, value_name = "PATH", default_value = "ddb-rollup-failures")]
    pub failures: PathBuf,

    /// Schema of one of your own tables: the JSON of its create-table request, or of describe-table; can be given several
    /// times. A view table without one gets the key that the definition names
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub table_schema: Vec<PathBuf>,

    /// File with items to put into the source table at the start: one item in DynamoDB JSON a line
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub load: Option<PathBuf>,

    /// Another value for a parameter of the template; can be given several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,

    /// Tell a story: load the tutorial's maps and points, change them, deliver everything again, and recount
    #[arg(long)]
    pub demo: bool,
}

fn port(text: &str) -> Result<u16, String> {
    args::whole(text, 0, u16::MAX)
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
