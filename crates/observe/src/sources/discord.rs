//! A Discord guild.

mod api;
mod limits;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use url::Url;

use super::{DEFAULT_LIMIT, lasting, template};
use crate::http::{self as web, Failure};
use crate::text::{EXCERPT, harmless};
use api::Api;
use driftline_model::drift::{ActualState, ObservationError};
use driftline_ports::{ActualStateSource, ObserveRequest, SourceError};

/// The `type` of a channel that groups others.
const CATEGORY: u64 = 4;

/// How a guild is looked at.
#[derive(Clone)]
pub struct DiscordOptions {
    /// The bot's token; `None` takes it from the environment variable `DISCORD_TOKEN`.
    pub token: Option<String>,
    /// The API's URL, with its version.
    pub base: String,
    /// Whether to list the members too, as `members`: user id → member. It takes a request for every thousand of them, and
    /// Discord allows it only to bots with the privileged intent `GUILD_MEMBERS`.
    pub members: bool,
    /// The most bytes that an answer, or all pages of a listing together, may have.
    pub limit: u64,
    /// How long an observation may take, with all that is waited for and repeated.
    pub timeout: Duration,
    /// Whether the API may be at a link-local address.
    pub allow_link_local: bool,
    /// A file of CAs, in PEM, that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for DiscordOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscordOptions")
            .field("members", &self.members)
            .field("limit", &self.limit)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Default for DiscordOptions {
    /// The token of the environment, version 10 of Discord's own API, no members, [`DEFAULT_LIMIT`], one minute.
    fn default() -> Self {
        Self {
            token: None,
            base: "https://discord.com/api/v10".to_owned(),
            members: false,
            limit: DEFAULT_LIMIT,
            timeout: Duration::from_mins(1),
            allow_link_local: false,
            ca_file: None,
        }
    }
}

/// The `roles`, `channels` and `categories` of a guild, and its `members` if options say so.
///
/// The external id is Discord's, the attributes are the object as Discord gives it, less its `id`. A listing that fails is
/// left out, with an error that names its type; the others are complete. When all fail nothing was seen. Rate limits are
/// kept to: a request waits until its bucket (or the bot, after a global limit) has room, unless that would take too long.
pub struct DiscordSource {
    guild: String,
    options: DiscordOptions,
    api: Api,
}

impl fmt::Debug for DiscordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiscordSource({})", self.name())
    }
}

/// Type → id → attributes.
type Found = Vec<(&'static str, BTreeMap<String, Value>)>;

impl DiscordSource {
    /// The guild in `url`: `discord:GUILD_ID`, or `discord:{tenant}` where tenants are named after their guilds. Nothing is
    /// sent yet.
    pub fn new(url: &str, options: DiscordOptions) -> Result<Self, SourceError> {
        let bad = |what: &str| lasting(format!("cannot observe Discord: {what}"));
        let guild = url.strip_prefix("discord:").unwrap_or(url);
        if guild != template::TENANT && !is_snowflake(guild) {
            return Err(bad(
                "`discord:GUILD_ID` is expected, with the number of a guild",
            ));
        }
        let token = options.token.clone();
        let token = token.or_else(|| std::env::var("DISCORD_TOKEN").ok());
        let token = token.filter(|token| !token.trim().is_empty());
        let token = token.ok_or_else(|| bad("there is no token: set DISCORD_TOKEN"))?;
        let mut header = HeaderValue::try_from(format!("Bot {}", token.trim()))
            .map_err(|_| bad("DISCORD_TOKEN is no token"))?;
        header.set_sensitive(true);
        let base = Url::parse(options.base.trim_end_matches('/'))
            .map_err(|error| bad(&format!("the API's URL is not valid: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad("the API's URL must be http or https"));
        }
        if !options.allow_link_local {
            web::check_literal(&base).map_err(|failure| bad(&failure.reason))?;
        }
        let client = web::client(
            USER_AGENT,
            options.allow_link_local,
            options.ca_file.as_deref(),
        )
        .map_err(|failure| bad(&failure.reason))?;
        let api = Api::new(
            client,
            &base,
            HeaderMap::from_iter([(AUTHORIZATION, header)]),
        );
        Ok(Self {
            guild: guild.to_owned(),
            options,
            api,
        })
    }

    async fn roles(&self, guild: &str) -> Result<Found, Failure> {
        let roles = self.get(&format!("guilds/{guild}/roles")).await?;
        if roles.is_empty() {
            return Err(Failure::new(
                "the listing is empty, and every guild has @everyone",
            ));
        }
        Ok(vec![("roles", by_id(roles, |role| role.remove("id"))?)])
    }

    async fn channels(&self, guild: &str) -> Result<Found, Failure> {
        let all = self.get(&format!("guilds/{guild}/channels")).await?;
        let mut categories = Vec::new();
        let mut channels = Vec::new();
        for channel in all {
            let kind = channel.get("type").and_then(Value::as_u64);
            let kind = kind.ok_or_else(|| Failure::new("a channel has no `type`"))?;
            let group = if kind == CATEGORY {
                &mut categories
            } else {
                &mut channels
            };
            group.push(channel);
        }
        let id = |channel: &mut Map<String, Value>| channel.remove("id");
        Ok(vec![
            ("channels", by_id(channels, id)?),
            ("categories", by_id(categories, id)?),
        ])
    }

    async fn members(&self, guild: &str) -> Result<Found, Failure> {
        if !self.options.members {
            return Ok(Vec::new());
        }
        let path = format!("guilds/{guild}/members");
        let members = self
            .api
            .pages(&path, member_id, self.options.limit, self.options.timeout);
        let id = |member: &mut Map<String, Value>| member_id(member).map(Value::String);
        Ok(vec![("members", by_id(members.await?, id)?)])
    }

    async fn get(&self, path: &str) -> Result<Vec<Map<String, Value>>, Failure> {
        let DiscordOptions { limit, timeout, .. } = self.options;
        self.api.list(path, &[], limit, timeout).await
    }
}

#[async_trait]
impl ActualStateSource for DiscordSource {
    fn name(&self) -> String {
        format!("discord:{}", self.guild)
    }

    async fn observe(&self, request: ObserveRequest<'_>) -> Result<ActualState, SourceError> {
        let guild = template::fill(&self.guild, request.tenant);
        if !is_snowflake(&guild) {
            return Err(lasting(format!(
                "cannot observe Discord: `{guild}` is no guild's number"
            )));
        }
        let (roles, channels, members) = tokio::join!(
            self.roles(&guild),
            self.channels(&guild),
            self.members(&guild)
        );
        let mut state = ActualState::default();
        let mut failures = Vec::new();
        for (types, found) in [
            (&["roles"][..], roles),
            (&["channels", "categories"], channels),
            (&["members"], members),
        ] {
            let failure = match found {
                Ok(found) => {
                    insert(&mut state, found)?;
                    continue;
                }
                Err(failure) => failure,
            };
            for resource_type in types {
                state.errors.push(ObservationError {
                    resource_type: Some((*resource_type).to_owned()),
                    id: None,
                    message: format!("cannot list {resource_type}: {}", failure.reason),
                });
            }
            failures.push(failure);
        }
        let asked = if self.options.members { 3 } else { 2 };
        if failures.len() < asked {
            return Ok(state);
        }
        let mut reasons: Vec<_> = failures.iter().map(|failure| &*failure.reason).collect();
        reasons.dedup();
        Err(SourceError {
            message: format!("cannot observe guild {guild}: {}", reasons.join("; ")),
            retryable: failures.iter().any(|failure| failure.transient),
        })
    }
}

/// How requests introduce themselves: Discord wants to know whom to ask about a bot.
const USER_AGENT: &str = concat!(
    "DiscordBot (https://crates.io/crates/driftline, ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

fn insert(state: &mut ActualState, found: Found) -> Result<(), SourceError> {
    for (resource_type, listed) in found {
        state.list(resource_type);
        for (id, attributes) in listed {
            state
                .insert(resource_type, &id, &attributes)
                .map_err(|error| lasting(format!("cannot keep what Discord gave: {error}")))?;
        }
    }
    Ok(())
}

fn member_id(member: &Map<String, Value>) -> Option<String> {
    Some(member.get("user")?.get("id")?.as_str()?.to_owned())
}

/// Objects by their ids. One without an id, or two with the same, spoil the listing.
fn by_id(
    objects: Vec<Map<String, Value>>,
    id: impl Fn(&mut Map<String, Value>) -> Option<Value>,
) -> Result<BTreeMap<String, Value>, Failure> {
    let mut listed = BTreeMap::new();
    for mut object in objects {
        let Some(Value::String(id)) = id(&mut object) else {
            return Err(Failure::new("an object in the listing has no `id`"));
        };
        if !is_snowflake(&id) {
            let id = harmless(&id, EXCERPT);
            return Err(Failure::new(format!("`{id}` in the listing is no id")));
        }
        if listed.contains_key(&id) {
            return Err(Failure::new(format!("{id} is in the listing twice")));
        }
        listed.insert(id, Value::Object(object));
    }
    Ok(listed)
}

/// A number of Discord's, as text: it has up to 64 bits.
fn is_snowflake(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
