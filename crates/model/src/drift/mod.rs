//! Drift: three states, one verdict per resource.
//!
//! [`compare`] holds what is desired (the active manifest) against what was recorded (the version last applied, and the
//! external ids that it got) and what is actual (what an observer saw), and says for every resource which of the three
//! differs from the others. It is a pure function: nothing here reads, waits or looks at a clock.

mod acknowledgement;
mod actual;
mod audit;
mod compare;
mod document;
mod fields;
mod plan;
mod policy;
mod report;
mod rules;
mod shown;
#[cfg(test)]
mod tests;

pub use acknowledgement::Acknowledgement;
pub use actual::{ActualState, InvalidActualState, ObservationError};
pub use audit::{
    AUDIT_SCHEMA, Alarm, AuditReport, Changes, EVENT_SCHEMA, Event, EventKind, Memory, Proof,
    Subject, ToTell, Track, Unseen,
};
pub use compare::{Comparison, Desired, Recorded, Unreadable, compare, shown_value, value_digest};
pub use plan::{Action, Named, Step};
pub use policy::{
    Equality, EqualityRule, IgnoreRule, Keys, ListKind, ListRule, Policy, RedactRule, SeverityRule,
    Unmanaged,
};
pub use report::{
    Acknowledged, Change, DriftReport, Item, Kind, Onset, REPORT_SCHEMA, SETTINGS, Severity,
    Status, Summary, Timeliness, Untimely, UnusedRule, Verdict, name,
};
pub use rules::DriftRules;
pub use shown::{KEPT, Placeholder, Withheld};
