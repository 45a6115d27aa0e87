//! What no API server sends: each gets a clear answer, in bounded time and memory, and the next request is served.

use std::{
    io::Read as _,
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    Server, pod, review,
    support::{parse_answer, raw_request, wait_until},
};

#[test]
fn whatever_is_no_review_gets_a_400_with_one_line_of_reason() -> Result<()> {
    let server = Server::start(&[])?;
    let whole = review(&pod(&json!({}))).to_string();
    let with = |pointer: &str, value: Value| {
        let mut changed = review(&pod(&json!({})));
        *changed.pointer_mut(pointer).unwrap() = value;
        changed.to_string()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "the body is no AdmissionReview: EOF"),
        (
            whole.as_bytes()[..whole.len() / 2].to_vec(),
            "the body is no AdmissionReview",
        ),
        (b"[]".to_vec(), "expected an object"),
        (b"null".to_vec(), "expected an object"),
        (vec![b'['; 1 << 20], "the body is no AdmissionReview"),
        (b"{\"a\":".repeat(200_000), "the body is no AdmissionReview"),
        (vec![0; 1000], "the body is no AdmissionReview"),
        (
            whole.replace("somebody", "\u{0}").into_bytes(),
            "the body is no AdmissionReview",
        ),
        ([whole.as_bytes(), b"x"].concat(), "trailing characters"),
        (
            [b"\xff\xfe", whole.as_bytes()].concat(),
            "not UTF-8, from byte 0 on",
        ),
        (
            with("/apiVersion", json!("admission.k8s.io/v1beta1")).into_bytes(),
            "not `AdmissionReview` of `admission.k8s.io/v1beta1`",
        ),
        (
            with("/kind", json!("Pod\nSecret")).into_bytes(),
            "not `Pod\\nSecret` of",
        ),
        (
            with("/request", Value::Null).into_bytes(),
            "holds no `request`",
        ),
        (
            with("/request", json!([])).into_bytes(),
            "expected an object",
        ),
        (
            with("/request/uid", json!("")).into_bytes(),
            "`request.uid` is empty",
        ),
        (
            with("/request/uid", json!(7)).into_bytes(),
            "expected a string",
        ),
        (
            with("/request/operation", json!("EAT")).into_bytes(),
            "`EAT` is none of",
        ),
        (
            with("/request/userInfo", json!("me")).into_bytes(),
            "expected an object",
        ),
    ];
    for (body, reason) in cases {
        let answer = server.post(&body)?;
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        ensure!(answer.status == 400, "{shown}: {answer:?}");
        ensure!(answer.text.contains(reason), "{shown}: {answer:?}");
        ensure!(
            answer.text.trim_end().lines().count() == 1 && answer.text.len() < 500,
            "{shown}: {answer:?}"
        );
    }
    server.is_unharmed()
}

#[test]
fn an_object_of_the_wrong_shape_is_denied_with_the_field_at_fault() -> Result<()> {
    let server = Server::start(&[])?;
    let deep = serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(100), "]".repeat(100)))?;
    for (object, field) in [
        (Value::Null, ""),
        (json!(7), ""),
        (json!({}), ""),
        (json!({ "spec": "x" }), "spec"),
        (json!({ "spec": { "containers": 7 } }), "spec.containers"),
        (
            json!({ "spec": { "containers": deep } }),
            "spec.containers[0]",
        ),
        (
            json!({ "spec": { "containers": [{ "securityContext": { "privileged": 1 } }] } }),
            "spec.containers[0].securityContext.privileged",
        ),
        (
            json!({ "metadata": { "annotations": ["x"] }, "spec": { "containers": [] } }),
            "metadata.annotations",
        ),
    ] {
        let separator = if field.is_empty() { "" } else { ": " };
        let advice = format!("\n  {field}{separator}correct that field");
        let response = server.review(&object)?;
        let message = response["status"]["message"].as_str().unwrap_or_default();
        ensure!(
            response["allowed"] == false && message.contains("this Pod cannot be read"),
            "{object}: {response}"
        );
        ensure!(message.ends_with(&advice), "{object}: {message}");
    }
    server.is_unharmed()
}

#[test]
fn hostile_names_stay_in_their_place() -> Result<()> {
    let server = Server::start(&[])?;
    let name = format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(100_000));
    let object = json!({ "spec": { "containers": [{ "name": name, "securityContext": { "appArmorProfile": { "type": "Unconfined" } } }] } });
    let response = server.review(&object)?;
    let message = response["status"]["message"]
        .as_str()
        .context("a message")?;
    ensure!(
        message.lines().count() == 3 && message.len() < 1000,
        "{message}"
    );
    ensure!(!message.contains(['\u{1b}', '\u{202e}']), "{message:?}");
    let log = server.webhook.process.output();
    ensure!(
        log.lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{log}"
    );
    Ok(())
}

#[test]
fn five_thousand_containers_are_judged_and_the_message_stays_readable() -> Result<()> {
    let server = Server::start(&[])?;
    let containers: Vec<Value> = (0..5000)
        .map(|index| json!({ "name": format!("c{index}"), "securityContext": { "privileged": true } }))
        .collect();
    let started = Instant::now();
    let response = server.review(&json!({ "spec": { "containers": containers } }))?;
    ensure!(
        started.elapsed() < Duration::from_secs(5),
        "within the API server's timeout"
    );
    let message = response["status"]["message"]
        .as_str()
        .context("a message")?;
    ensure!(
        message.contains("container `c0`, container `c1`") && message.contains("and 4950 more"),
        "{message}"
    );
    ensure!(message.len() < 8192, "{}", message.len());
    server.is_unharmed()
}

#[test]
fn a_hundred_megabytes_are_turned_away_with_bounded_memory() -> Result<()> {
    let server = Server::start(&[])?;
    let big = vec![b' '; 100 << 20];
    let answer = server.post(&big)?;
    ensure!(
        answer.status == 413 && answer.text.contains("over 4194304 bytes"),
        "{answer:?}"
    );
    // Without a length, in chunks.
    let mut chunked =
        b"POST /validate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for _ in 0..100 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&big[..1 << 20]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = parse_answer(&raw_request(
        server.webhook.address,
        &server.certificates.ca,
        &chunked,
        20,
    )?)?;
    ensure!(answer.status == 413, "{answer:?}");
    let peak = server.webhook.process.memory("VmHWM")?;
    ensure!(peak < 64 << 10, "{peak} KiB");
    server.is_unharmed()
}

#[test]
fn many_large_bodies_at_once_are_answered_or_shed() -> Result<()> {
    let server = Arc::new(Server::start(&[])?);
    let padding = json!({ "padding": "x".repeat(3 << 20) });
    let padded = json!({ "metadata": { "annotations": padding }, "spec": { "containers": [{ "name": "web" }] } });
    let mut groups = review(&pod(&json!({})));
    groups["request"]["userInfo"]["groups"] = json!(vec![""; 1_000_000]);
    let mut containers = review(&pod(&json!({})));
    containers["request"]["object"]["spec"]["containers"] = json!(vec![json!({}); 1_000_000]);
    let bodies =
        [review(&padded), groups, containers].map(|body| Arc::new(body.to_string().into_bytes()));
    let workers: Vec<_> = (0..30)
        .map(|index| {
            let path = ["/validate", "/mutate"][index % 2];
            let (server, body) = (
                Arc::clone(&server),
                Arc::clone(&bodies[index % bodies.len()]),
            );
            thread::spawn(move || server.post_to(path, &body))
        })
        .collect();
    let mut answered = 0;
    for worker in workers {
        let answer = worker.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        // 400 for a million groups, a denial for a million containers.
        ensure!(matches!(answer.status, 200 | 400 | 503), "{answer:?}");
        answered += usize::from(answer.status == 200);
    }
    ensure!(answered > 0);
    let peak = server.webhook.process.memory("VmHWM")?;
    ensure!(peak < 96 << 10, "{peak} KiB");
    server.is_unharmed()
}

#[test]
fn who_announces_much_and_sends_little_keeps_nobody_out() -> Result<()> {
    let server = Server::start(&[])?;
    let (address, ca) = (server.webhook.address, server.certificates.ca.clone());
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let ca = ca.clone();
            let head = b"POST /validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n{";
            thread::spawn(move || raw_request(address, &ca, head, 15))
        })
        .collect();
    wait_until("all are being read", 10, || {
        let (_, metrics) = server.webhook.admin_get("/metrics")?;
        Ok(metrics
            .contains("armorgate_admission_in_flight 20")
            .then_some(()))
    })?;
    server.is_unharmed()?;
    for worker in slow {
        let answer = worker.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        ensure!(parse_answer(&answer)?.status == 408);
    }
    Ok(())
}

#[test]
fn who_is_slow_is_cut_off() -> Result<()> {
    let server = Server::start(&[])?;
    let (address, ca) = (server.webhook.address, server.certificates.ca.clone());
    let slow = |bytes: &'static [u8]| {
        let ca = ca.clone();
        thread::spawn(move || raw_request(address, &ca, bytes, 15))
    };
    let headers = slow(b"POST /validate HTTP/1.1\r\nHost: loc");
    let body = slow(b"POST /validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{");
    // The next request's headers do not come.
    let next = slow(b"POST /validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    // No handshake at all.
    let mut silent = TcpStream::connect(address)?;
    silent.set_read_timeout(Some(Duration::from_secs(15)))?;
    ensure!(silent.read(&mut [0; 1])? == 0, "closed without a handshake");
    let joined = |worker: thread::JoinHandle<Result<Vec<u8>>>| {
        worker.join().map_err(|_| anyhow::anyhow!("panicked"))?
    };
    let cut_off = joined(headers)?;
    ensure!(
        cut_off.is_empty() || cut_off.starts_with(b"HTTP/1.1 408"),
        "closed: {cut_off:?}"
    );
    ensure!(parse_answer(&joined(body)?)?.status == 408);
    ensure!(
        parse_answer(&joined(next)?)?.status == 400,
        "answered, then closed"
    );
    server.is_unharmed()
}
