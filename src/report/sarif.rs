//! A report as SARIF 2.1.0, for code scanning.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_sarif::sarif::{
    ArtifactLocation, Location, LogicalLocation, Message, PhysicalLocation, Region,
    ReportingDescriptor, Result, ResultLevel, Run, Sarif, Tool, ToolComponent,
};

use super::{
    finding::{Finding, Place},
    object::{ObjectReport, Report},
};
use crate::verdict::Treatment;

/// The report as a SARIF log of one run. Every finding is a result; its rule is the reason's code.
#[must_use]
pub fn sarif(report: &Report) -> Sarif {
    let results: Vec<Result> = report
        .objects
        .iter()
        .flat_map(|object| {
            object
                .findings
                .iter()
                .map(move |finding| result(object, finding))
        })
        .collect();
    let codes: BTreeSet<&str> = report
        .objects
        .iter()
        .flat_map(|object| object.findings.iter().map(|finding| finding.reason))
        .collect();
    let rules: Vec<ReportingDescriptor> = codes
        .into_iter()
        .map(|code| ReportingDescriptor::builder().id(code).build())
        .collect();
    let driver = ToolComponent::builder()
        .name("armorgate")
        .version(env!("CARGO_PKG_VERSION"))
        .rules(rules)
        .build();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .results(results)
        .build();
    Sarif::builder()
        .version("2.1.0")
        .schema(SCHEMA)
        .runs(vec![run])
        .build()
}

/// The published schema of the format.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

fn result(object: &ObjectReport, finding: &Finding) -> Result {
    let level = match finding.treatment {
        Treatment::Allow => ResultLevel::Note,
        Treatment::Deny => ResultLevel::Error,
        Treatment::Warn => ResultLevel::Warning,
    };
    let text = format!(
        "{}: {} {}: {}",
        object.title(),
        finding.subject,
        finding.message,
        finding.advice
    );
    Result::builder()
        .rule_id(finding.reason)
        .level(level)
        .message(Message::builder().text(text).build())
        .locations(vec![location(
            finding.place.as_ref().unwrap_or(&object.place),
            &finding.field,
        )])
        .build()
}

fn location(place: &Place, field: &str) -> Location {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let region = Region::builder()
        .start_line(number(place.line))
        .start_column(number(place.column))
        .build();
    let artifact = ArtifactLocation::builder().uri(uri(&place.file)).build();
    let physical = PhysicalLocation::builder()
        .artifact_location(artifact)
        .region(region)
        .build();
    let logical = LogicalLocation::builder()
        .fully_qualified_name(field)
        .build();
    Location::builder()
        .physical_location(physical)
        .logical_locations(vec![logical])
        .build()
}

/// A file's name as a relative URI: what is no letter, digit or mark of a path is escaped (RFC 3986).
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn files_are_named_by_uri() {
        assert_eq!(uri("a b/ä.yaml"), "a%20b/%C3%A4.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}
