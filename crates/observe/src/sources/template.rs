//! Texts in which `{tenant}` stands for the tenant.

use driftline_model::TenantId;

/// What stands for the tenant.
pub(super) const TENANT: &str = "{tenant}";

/// The text for one tenant. A tenant's name can neither leave a folder nor end a part of a URL, and never begins with a dash.
pub(super) fn fill(template: &str, tenant: &TenantId) -> String {
    template.replace(TENANT, tenant.as_str())
}
