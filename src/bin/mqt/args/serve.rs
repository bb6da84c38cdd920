//! The flags of `mqt serve`.

use super::ModelArgs;
use super::values::{address, megabytes, milliseconds, port, seconds, waiting};
use clap::Args;
use mqt::defaults;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The address to listen on: 127.0.0.1 is this machine only, 0.0.0.0 every network
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 is any free port, and stdout says which
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = port)]
    pub(crate) port: u16,
    /// Also serve the page for asking about pictures, and open it in the browser
    #[arg(long, conflicts_with = "api_key")]
    pub(crate) open: bool,
    /// The same without opening a browser; DIR is a folder with a built page, such as www/dist
    #[arg(
        long, value_name = "DIR", num_args = 0..=1, require_equals = true,
        conflicts_with = "api_key"
    )]
    #[allow(clippy::option_option, reason = "clap's way of a flag with or without a value")]
    pub(crate) page: Option<Option<PathBuf>>,
    /// What the model is called in requests [default: its own name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// A key that requests must have; may be given several times, or as a list with commas in
    /// MQT_API_KEY, where other programs do not see it
    #[arg(
        long,
        value_name = "KEY",
        env = "MQT_API_KEY",
        hide_env_values = true,
        value_delimiter = ',',
        help_heading = "Who may ask"
    )]
    pub(crate) api_key: Vec<String>,
    /// A host name of this server, besides localhost; may be given several times
    #[arg(long, value_name = "NAME", help_heading = "Who may ask")]
    pub(crate) allow_host: Vec<String>,
    /// Let web pages of this origin ask, such as https://app.example; may be given several times
    #[arg(long, value_name = "ORIGIN", help_heading = "Who may ask")]
    pub(crate) allow_origin: Vec<String>,
    /// Fetch pictures that requests name by http or https addresses: from every public address, or
    /// only from these hosts, which may be private
    #[arg(
        long, value_name = "HOST,…", num_args = 0..=1, require_equals = true,
        value_delimiter = ',', default_missing_value = "", help_heading = "Pictures"
    )]
    pub(crate) allow_fetch: Option<Vec<String>>,
    /// Read pictures that requests name by file: URLs, from this folder only
    #[arg(long, value_name = "DIR", help_heading = "Pictures")]
    pub(crate) media_dir: Option<PathBuf>,
    /// With detail auto: aim for the first token within this many milliseconds
    #[arg(
        long, value_name = "MS", allow_hyphen_values = true, default_value_t = defaults::TARGET_MS,
        value_parser = milliseconds, help_heading = "Pictures"
    )]
    pub(crate) target_ms: f64,
    /// How many requests may wait; more are refused with 429
    #[arg(
        long, value_name = "N", default_value_t = 64, allow_hyphen_values = true,
        value_parser = waiting, help_heading = "Limits"
    )]
    pub(crate) queue: usize,
    /// The largest size of a request, pictures included
    #[arg(
        long, value_name = "MB", default_value_t = 50.0, allow_hyphen_values = true,
        value_parser = megabytes, help_heading = "Limits"
    )]
    pub(crate) max_body: f64,
    /// Memory for the conversations and pictures that are kept for later requests
    #[arg(
        long, value_name = "MB", default_value_t = 1000.0, allow_hyphen_values = true,
        value_parser = megabytes, help_heading = "Limits"
    )]
    pub(crate) cache: f64,
    /// How long requests may still take when the server is told to end
    #[arg(
        long, value_name = "SECONDS", default_value_t = 10.0, allow_hyphen_values = true,
        value_parser = seconds, help_heading = "Limits"
    )]
    pub(crate) grace: f64,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

impl ServeArgs {
    /// The folder of the page that is shown; an empty path is the page in the program.
    pub(crate) fn page(&self) -> Option<&Path> {
        let own = Path::new("");
        match &self.page {
            Some(folder) => Some(folder.as_deref().unwrap_or(own)),
            None => self.open.then_some(own),
        }
    }
}
