//! `drift policy get` and `drift policy set`

use driftline::domain::content::Content;
use driftline::domain::drift::{Policy, Unmanaged};
use driftline::domain::{ShortText, json};
use driftline::ports::DriftDecision;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::decision::{Decision, decide};
use crate::cli::args::{self, By, Tenant, WaitShadowed};
use crate::cli::input::Input;
use crate::cli::{Context, Exit, Failure, ui};

const MEMBERS: [&str; 8] = [
    "ignore",
    "lists",
    "equality",
    "redact",
    "strict",
    "severities",
    "unmanaged",
    "order",
];

/// The members of a rule that says what is not shown; its pointer alone is one too.
const REDACT: [&str; 3] = ["type", "id", "pointer"];

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the policy as JSON
    Get(Get),
    /// Replace the policy
    Set(Set),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline drift policy get --tenant acme > policy.json

What is printed can be given to `driftline drift policy set`.")]
pub struct Get {
    #[command(flatten)]
    tenant: Tenant,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  driftline drift policy set --tenant acme --file policy.json --message 'colours do not matter'

The file replaces the whole policy. Every member is optional:
  {
    \"ignore\":     [{\"type\": \"roles\", \"id\": \"bot-*\", \"pointer\": \"/color\"}],
    \"lists\":      [{\"pointer\": \"/permissions\", \"as\": \"set\"},
                   {\"pointer\": \"/env\", \"as\": {\"keyedBy\": \"name\"}},
                   {\"pointer\": \"/ports\", \"as\": {\"keyedBy\": [\"port\", \"protocol\"]}}],
    \"equality\":   [{\"pointer\": \"/resources/**\", \"as\": \"quantity\"}],
    \"redact\":     [\"/**/password\", {\"type\": \"users\", \"pointer\": \"/token\"}],
    \"strict\":     false,
    \"severities\": [{\"type\": \"channels\", \"verdict\": \"drifted\", \"severity\": \"error\"}],
    \"unmanaged\":  \"report\", or \"ignore\", or \"delete\",
    \"order\":      [\"roles\", \"channels\"]
  }
Types and ids are globs (* and ?); so are the members of a pointer, where ** is any number.

An element of a list that has a key is addressed by it, as reports show it: \
/ports/[port=80,protocol=TCP]/name. The members of the key stand in the order of the rule; a \
text that could be something else, or holds a space or one of , = [ ] \" \\, is a JSON string: \
[name=\"80\"]. A position there is refused: it would slide onto another element. Elements with \
the same key are compared among themselves, and so are those without one, as /ports/[].

The values of a field are the same under a rule in `equality`, however they are spelt:
  integer-string    80 and \"80\", of any size (beyond 2^53 also without a rule)
  quantity          1000M and 1G, 1000m and 1, 1024Ki and 1Mi
  instant           2026-01-31T08:00:00Z and 2026-01-31T09:00:00.0+01:00
  duration          1h30m, 90m and PT1H30M
  case-insensitive  Web and web
  ip                2001:DB8:0::1 and 2001:db8::1, also with a prefix length
A value that is none of the kind is compared as it is.

Of a field in `redact`, and all below it, nothing but a SHA-256 is shown or stored: in \
reports, plans, acknowledgements and events. A short secret can be guessed from its digest.

`strict` compares every live field, also in audits; {} and [] are then not the same as absent.")]
pub struct Set {
    #[command(flatten)]
    tenant: Tenant,
    /// The policy as JSON; - reads stdin
    #[arg(long, value_name = "FILE")]
    file: Input,
    #[command(flatten)]
    by: By,
    /// Why
    #[arg(long, value_name = "TEXT")]
    message: Option<ShortText>,
    #[command(flatten)]
    wait: WaitShadowed,
}

pub async fn run(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Get(arguments) => get(context, &arguments).await,
        Command::Set(arguments) => set(context, arguments).await,
    }
}

async fn get(context: &Context, arguments: &Get) -> anyhow::Result<Exit> {
    let tenant = &arguments.tenant.tenant;
    let reading = context.reading().await?;
    let inspected = reading.inspector.read_one(tenant).await?;
    let inspected = inspected.ok_or_else(|| args::unknown(tenant))?;
    context.ui.json(&inspected.rules.policy)?;
    Ok(Exit::Done)
}

async fn set(context: &Context, arguments: Set) -> anyhow::Result<Exit> {
    let Set {
        tenant,
        file,
        by,
        message,
        wait,
    } = arguments;
    let limit = context.config.settings.content_limit;
    let raw = file.read(limit, &context.signals).await?;
    let document =
        Content::parse_object(&raw, limit).map_err(|error| file.blame("", error.into()))?;
    let policy = read(document.to_value()?).map_err(|(pointer, reason)| {
        let message = format!("read {file}: {pointer}: {reason}");
        Failure::new(Exit::Error, "invalid_input", message)
            .hint("`driftline drift policy set --help` shows what a policy looks like")
    })?;
    let told = format!("the policy: {}", summary(&policy));
    let decision = Decision {
        tenant: tenant.tenant,
        what: DriftDecision::Policy(policy),
        by: by.name()?,
        message,
        wait,
    };
    decide(context, decision, &told).await
}

/// A policy in numbers.
fn summary(policy: &Policy) -> String {
    let mut parts = Vec::new();
    for (count, thing) in [
        (policy.ignore.len(), "ignore rule"),
        (policy.lists.len(), "list rule"),
        (policy.equality.len(), "equality rule"),
        (policy.redact.len(), "redaction"),
        (policy.severities.len(), "severity rule"),
    ] {
        if count > 0 {
            parts.push(ui::count(count as u64, thing));
        }
    }
    if policy.strict {
        parts.push("every field is compared".to_owned());
    }
    match policy.unmanaged {
        Unmanaged::Report => {}
        Unmanaged::Ignore => parts.push("unmanaged resources are not shown".to_owned()),
        Unmanaged::Delete => parts.push("unmanaged resources are deleted by plans".to_owned()),
    }
    if parts.is_empty() {
        parts.push("no rules".to_owned());
    }
    parts.join(", ")
}

/// What is wrong, behind the JSON pointer that says where.
type Wrong = (String, String);

/// Reads a policy more strictly than it is stored: a member that nobody knows is a rule that would be without effect.
fn read(value: Value) -> Result<Policy, Wrong> {
    let Value::Object(mut members) = value else {
        return Err((String::new(), "an object is expected".to_owned()));
    };
    known(&members, "", &MEMBERS)?;
    let mut take = |name: &str| members.remove(name).unwrap_or_default();
    // All members are named here: a new one does not compile before it is read.
    let policy = Policy {
        ignore: rules(take("ignore"), "/ignore", &["type", "id", "pointer"])?,
        lists: rules(take("lists"), "/lists", &["type", "pointer", "as"])?,
        equality: rules(
            take("equality"),
            "/equality",
            &["type", "id", "pointer", "as"],
        )?,
        redact: rules(take("redact"), "/redact", &REDACT)?,
        strict: one::<Option<_>>(take("strict"), "/strict")?.unwrap_or_default(),
        severities: rules(
            take("severities"),
            "/severities",
            &["type", "id", "verdict", "kind", "severity"],
        )?,
        unmanaged: one::<Option<_>>(take("unmanaged"), "/unmanaged")?.unwrap_or_default(),
        order: one::<Option<_>>(take("order"), "/order")?.unwrap_or_default(),
    };
    policy
        .check()
        .map_err(|(pointer, reason)| (pointer, reason.to_owned()))?;
    Ok(policy)
}

fn rules<T: DeserializeOwned>(
    value: Value,
    pointer: &str,
    members: &[&str],
) -> Result<Vec<T>, Wrong> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => return Err((pointer.to_owned(), "a list of rules is expected".to_owned())),
    };
    let rule = |(at, value): (usize, Value)| {
        let pointer = format!("{pointer}/{at}");
        match &value {
            Value::Object(rule) => known(rule, &pointer, members)?,
            Value::String(_) if members == REDACT => {}
            _ => return Err((pointer, "a rule is expected, which is an object".to_owned())),
        }
        one(value, &pointer)
    };
    list.into_iter().enumerate().map(rule).collect()
}

fn one<T: DeserializeOwned>(value: Value, pointer: &str) -> Result<T, Wrong> {
    serde_json::from_value(value).map_err(|error| (pointer.to_owned(), json::words(&error)))
}

/// Refuses a member that is none of these.
fn known(object: &Map<String, Value>, pointer: &str, members: &[&str]) -> Result<(), Wrong> {
    match object.keys().find(|key| !members.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let pointer = format!("{pointer}/{}", args::pointer_member(key));
            let reason = match json::similar(key, members.iter().copied()) {
                Some(meant) => format!("there is no such member; `{meant}` is meant, perhaps"),
                None => format!("there is no such member; there are {}", members.join(", ")),
            };
            Err((pointer, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use driftline::domain::drift::{ListKind, Unmanaged};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_printed() {
        let policy = read(json!({
            "ignore": [{"type": "roles", "id": "bot-*", "pointer": "/color"}],
            "lists": [
                {"pointer": "/env", "as": {"keyedBy": "name"}},
                {"pointer": "/x", "as": "set"},
                {"pointer": "/ports", "as": {"keyedBy": ["port", "protocol"]}},
            ],
            "equality": [{"pointer": "/**/cpu", "as": "quantity"}, {"type": "jobs", "pointer": "/id", "as": "integer-string"}],
            "redact": ["/password", {"type": "roles", "pointer": "/token"}, {"pointer": "/env/[name=KEY]/value"}],
            "strict": true,
            "severities": [{"kind": "missing", "severity": "error"}],
            "unmanaged": "delete",
            "order": ["roles"],
        }))
        .unwrap();
        assert_eq!(policy.lists[0].kind, ListKind::KeyedBy("name".into()));
        assert_eq!(policy.unmanaged, Unmanaged::Delete);
        let printed = serde_json::to_value(&policy).unwrap();
        assert_eq!(read(printed), Ok(policy));
        assert_eq!(read(json!({})), Ok(Policy::default()));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (policy, pointer) in [
            (json!({"ignores": []}), "/ignores"),
            (json!({"a/b": 1}), "/a~1b"),
            (json!({"ignore": {}}), "/ignore"),
            (
                json!({"ignore": [{"type": "roles"}, {"path": "/x"}]}),
                "/ignore/1/path",
            ),
            (json!({"ignore": [{"pointer": "x"}]}), "/ignore/0/pointer"),
            (
                json!({"lists": [{"pointer": "/x", "as": {"keyedBy": []}}]}),
                "/lists/0",
            ),
            (
                json!({"lists": [{"pointer": "/x", "as": {"keyedBy": ["a", "a"]}}]}),
                "/lists/0",
            ),
            (
                json!({"lists": [{"pointer": "/x", "as": {"keyedBy": 1}}]}),
                "/lists/0",
            ),
            (
                json!({"equality": [{"pointer": "/x", "as": "alike"}]}),
                "/equality/0",
            ),
            (
                json!({"equality": [{"pointer": "x", "as": "ip"}]}),
                "/equality/0/pointer",
            ),
            (json!({"redact": [1]}), "/redact/0"),
            (json!({"redact": ["x"]}), "/redact/0/pointer"),
            (
                json!({"redact": [{"pointer": "/x", "as": "set"}]}),
                "/redact/0/as",
            ),
            (json!({"strict": "yes"}), "/strict"),
            (
                json!({"lists": [{"pointer": "/x", "as": "bag"}]}),
                "/lists/0",
            ),
            (
                json!({"severities": [{"severity": "loud"}]}),
                "/severities/0",
            ),
            (json!({"unmanaged": "burn"}), "/unmanaged"),
            (json!({"order": "roles"}), "/order"),
        ] {
            assert_eq!(read(policy).unwrap_err().0, pointer);
        }
    }
}
