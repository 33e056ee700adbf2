//! Stub.
use super::settings::Sides;
use crate::ports::StoreResult;
/// Level.
#[derive(Debug, Clone, Copy)]
pub enum Level { /// Brief.
 Brief }
/// Report.
#[derive(Debug)]
pub struct ProbeReport;
impl ProbeReport {
    /// p
    pub fn passed(&self) -> bool { true }
    /// f
    pub fn failures(&self) -> Vec<String> { vec![] }
}
/// probe
pub async fn probe(_: &Sides, _: Level) -> StoreResult<ProbeReport> { Ok(ProbeReport) }
