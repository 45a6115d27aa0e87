//! What etcd holds, by its own gateway.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// Objects below a prefix, and the bytes of them as they are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl Stored {
    /// Bytes of an object, on average.
    pub(crate) fn each(self) -> u64 {
        self.bytes / self.objects.max(1)
    }
}

/// What is stored below a prefix.
pub(crate) fn stored(etcd: &str, prefix: &str) -> Result<Stored> {
    let mut found = Stored::default();
    let mut key = prefix.as_bytes().to_vec();
    let mut end = key.clone();
    *end.last_mut().context("a prefix")? += 1;
    loop {
        let range = json!({
            "key": BASE64_STANDARD.encode(&key), "range_end": BASE64_STANDARD.encode(&end), "limit": 500,
        });
        let url = format!("{etcd}/v3/kv/range");
        let answer: Value = serde_json::from_str(&curl(&["-d", &range.to_string(), &url])?)?;
        let Some(pairs) = answer["kvs"].as_array() else {
            return Ok(found);
        };
        let field = |pair: &Value, name: &str| {
            let text = pair[name].as_str().context("base64")?;
            Ok::<_, anyhow::Error>(BASE64_STANDARD.decode(text)?)
        };
        for pair in pairs {
            found.objects += 1;
            found.bytes += u64::try_from(field(pair, "value")?.len())?;
        }
        if answer["more"] != true {
            return Ok(found);
        }
        key = field(pairs.last().context("more")?, "key")?;
        key.push(0);
    }
}

/// Bytes that the whole database uses, with the history that is not compacted yet.
pub(crate) fn in_use(etcd: &str) -> Result<u64> {
    let metrics = curl(&[&format!("{etcd}/metrics")])?;
    let name = "etcd_mvcc_db_total_size_in_use_in_bytes ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    let bytes: f64 = value.context("etcd tells its size")?.parse()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of bytes, in the form of a float"
    )]
    Ok(bytes as u64)
}

fn curl(arguments: &[&str]) -> Result<String> {
    let output = Command::new("curl")
        .args(["-sSf", "-m", "20"])
        .args(arguments)
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl {arguments:?}: {told}");
    Ok(String::from_utf8(output.stdout)?)
}
