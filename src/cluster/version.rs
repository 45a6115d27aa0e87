//! What an API server of this version can do.

use kube::Client;

use super::ClusterError;

/// The first minor version of Kubernetes 1 whose pods have `appArmorProfile`.
const FIELDS: u32 = 30;

/// Whether pods have a field for the profile: else only the legacy annotation names one.
pub async fn has_profile_fields(client: &Client) -> Result<bool, ClusterError> {
    let version = client.apiserver_version().await?;
    Ok(has_fields(&version.major, &version.minor))
}

/// Distributions write `29+`. What cannot be understood is taken for a version of today.
fn has_fields(major: &str, minor: &str) -> bool {
    let digits = minor.trim_end_matches(|character: char| !character.is_ascii_digit());
    major != "1" || digits.parse().map_or(true, |minor: u32| minor >= FIELDS)
}

#[cfg(test)]
mod tests {
    use super::has_fields;

    #[test]
    fn the_field_came_with_1_30() {
        for (minor, expected) in [
            ("29", false),
            ("29+", false),
            ("30", true),
            ("36", true),
            ("", true),
        ] {
            assert_eq!(has_fields("1", minor), expected, "{minor}");
        }
        assert!(has_fields("2", "0"));
    }
}
