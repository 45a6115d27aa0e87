//! A report as JUnit XML: a suite per file, a case per object.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::object::{ObjectReport, Outcome, Report};

/// The report as a JUnit document. Denied objects are failures; warnings stand in the output of a passed case.
pub fn junit(report: &Report) -> Result<String, SerializeError> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for object in &report.objects {
        let file = object.place.file.as_str();
        suites
            .entry(file)
            .or_insert_with(|| TestSuite::new(file))
            .add_test_case(case(object));
    }
    let mut document = quick_junit::Report::new("armorgate check");
    document.add_test_suites(suites.into_values());
    document.to_string()
}

fn case(object: &ObjectReport) -> TestCase {
    let lines: Vec<String> = object
        .findings
        .iter()
        .map(|finding| {
            format!(
                "{} {}: {} ({})",
                finding.subject, finding.message, finding.advice, finding.field
            )
        })
        .collect();
    let text = lines.join("\n");
    let mut status = TestCaseStatus::success();
    if object.outcome == Outcome::Denied {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let first = object.findings.first();
        status
            .set_message(first.map_or(String::new(), |finding| {
                format!("{} {}", finding.subject, finding.message)
            }))
            .set_type(first.map_or("", |finding| finding.reason))
            .set_description(text.clone());
    }
    let mut case = TestCase::new(object.title(), status);
    case.set_classname(object.kind);
    if object.outcome != Outcome::Denied && !text.is_empty() {
        case.set_system_out(text);
    }
    case
}
