mod acknowledging;
mod documents;
mod generator;
mod keyed;
mod properties;
mod renames;
mod settings;
mod values;
mod vectors;
mod verdicts;

use serde_json::{Value, json};

use super::*;
use crate::content::Content;
use crate::{Resources, Seq, TenantId, Timestamp};

/// Three states to compare, as JSON.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) desired: Option<Value>,
    /// The applied version, and the external ids.
    pub(super) recorded: Option<(Value, Value)>,
    pub(super) actual: Option<Value>,
    pub(super) policy: Policy,
    pub(super) acknowledgements: Vec<Acknowledgement>,
    pub(super) now: Timestamp,
    pub(super) strict: bool,
}

impl Case {
    pub(super) fn new(desired: &Value, recorded: &Value, ids: &Value, actual: &Value) -> Self {
        Self {
            desired: Some(desired.clone()),
            recorded: Some((recorded.clone(), ids.clone())),
            actual: Some(actual.clone()),
            policy: Policy::default(),
            acknowledgements: Vec::new(),
            now: Timestamp::EPOCH,
            strict: false,
        }
    }

    /// One role `r1`, live as `d1`.
    pub(super) fn role(desired: &Value, recorded: &Value, actual: &Value) -> Self {
        let manifest = |attributes: &Value| {
            let mut attributes = attributes.clone();
            attributes["id"] = json!("r1");
            json!({ "roles": [attributes] })
        };
        Self::new(
            &manifest(desired),
            &manifest(recorded),
            &json!({ "roles": { "r1": "d1" } }),
            &json!({ "roles": { "d1": actual } }),
        )
    }

    pub(super) fn report(&self) -> DriftReport {
        let actual = self.actual.as_ref().map(|actual| {
            let document = if actual.get("resources").is_some() {
                actual.clone()
            } else {
                json!({ "resources": actual })
            };
            ActualState::parse(document.to_string().as_bytes()).unwrap()
        });
        self.report_on(actual.as_ref())
    }

    pub(super) fn report_on(&self, actual: Option<&ActualState>) -> DriftReport {
        let content = |manifest: &Value| {
            let mut manifest = manifest.clone();
            manifest["schemaVersion"] = json!("1");
            Content::parse_manifest(manifest.to_string().as_bytes(), 1 << 20).unwrap()
        };
        let desired = self.desired.as_ref().map(content);
        let recorded = self.recorded.as_ref().map(|(manifest, ids)| {
            let ids: Resources = serde_json::from_value(ids.clone()).unwrap();
            (content(manifest), ids)
        });
        compare(&Comparison {
            tenant: &"acme".parse::<TenantId>().unwrap(),
            desired: desired.as_ref().map(|content| Desired {
                version: Seq::new(2),
                content,
            }),
            recorded: recorded.as_ref().map(|(content, resources)| Recorded {
                version: Seq::new(1),
                resources,
                content: Ok(content),
            }),
            actual,
            policy: &self.policy,
            acknowledgements: &self.acknowledgements,
            now: self.now,
            strict: self.strict,
            all: true,
            plan: true,
        })
        .unwrap()
    }

    /// The verdict and the kind of the only item.
    pub(super) fn verdict(&self) -> (Verdict, Option<Kind>) {
        let report = self.report();
        assert_eq!(report.items.len(), 1, "{report:#?}");
        (report.items[0].verdict, report.items[0].kind)
    }

    /// The pointers of the changes of the only item.
    pub(super) fn pointers(&self) -> Vec<String> {
        let report = self.report();
        assert_eq!(report.items.len(), 1, "{report:#?}");
        let changes = report.items[0].changes.iter();
        changes.map(|change| change.pointer.clone()).collect()
    }
}
