//! Arguments that choose what observes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driftline::ports::ActualStateSource;
use driftline_host::{Config, Problem, SourceOptions, check_for_many, source};

use super::args;

/// Arguments that choose a source.
#[derive(Debug, clap::Args)]
pub struct SourceArguments {
    /// Where the live state is: file:PATH, a bare path, - for stdin, http(s)://…, exec:PROGRAM ARGUMENT… or discord:GUILD, with
    /// {tenant} for the tenant
    #[arg(long, value_name = "SOURCE")]
    actual: Option<String>,
    #[command(flatten)]
    how: HowArguments,
}

/// The same where there has to be one.
#[derive(Debug, clap::Args)]
pub struct RequiredSource {
    /// Where the live state is: file:PATH, a bare path, - for stdin, http(s)://…, exec:PROGRAM ARGUMENT… or discord:GUILD, with
    /// {tenant} for the tenant
    #[arg(long, value_name = "SOURCE")]
    actual: String,
    #[command(flatten)]
    how: HowArguments,
}

/// How a source observes.
#[derive(Debug, clap::Args)]
pub struct HowArguments {
    /// A file with headers for the HTTP request, one `Name: value` a line
    #[arg(long, value_name = "FILE", requires = "actual")]
    actual_headers: Option<PathBuf>,
    /// How long one observation may take [default: 30 for http, 60 otherwise]
    #[arg(long, value_name = "SECS", requires = "actual", value_parser = args::seconds)]
    actual_timeout: Option<Duration>,
    /// Let HTTP go to link-local addresses and those of cloud metadata services
    #[arg(long, requires = "actual")]
    allow_link_local: bool,
}

impl SourceArguments {
    /// The source, if one was asked for; `many` when it has to tell tenants apart.
    pub fn build(
        &self,
        many: bool,
        config: &Config,
    ) -> Result<Option<Arc<dyn ActualStateSource>>, Problem> {
        let Some(url) = &self.actual else {
            return Ok(None);
        };
        if many {
            check_for_many(url)?;
        }
        source(url, &self.how.options(config)).map(Some)
    }
}

impl RequiredSource {
    /// The source.
    pub fn build(&self, config: &Config) -> Result<Arc<dyn ActualStateSource>, Problem> {
        source(&self.actual, &self.how.options(config))
    }
}

impl HowArguments {
    /// The same as options.
    fn options(&self, config: &Config) -> SourceOptions {
        SourceOptions {
            headers: self.actual_headers.clone(),
            timeout: self.actual_timeout,
            allow_link_local: self.allow_link_local,
            ca_file: config.ca_file.clone(),
        }
    }
}
