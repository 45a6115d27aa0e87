//! Looks at a node's processes until it is told to end, and writes down what is not as it has to be: a process of the program
//! that is named first which is not under a profile whose name begins with the second word, or whose profile is not in the
//! kernel any more.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    path::Path,
    thread::sleep,
    time::Duration,
};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, prefix, report] = &arguments[..] else {
        panic!("watcher PROGRAM PREFIX REPORT");
    };
    let mut report = File::create(report)?;
    let (mut rounds, mut most) = (0_u64, 0);
    loop {
        let (labels, wrong) = look(program, prefix);
        // Read after the processes: a profile may have come in between, but none that a process has may have gone.
        let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles")?;
        let loaded: BTreeSet<&str> = profiles.lines().collect();
        for label in &labels {
            if !loaded.contains(label.as_str()) {
                writeln!(report, "WRONG {label} is not loaded")?;
            }
        }
        for what in wrong {
            writeln!(report, "WRONG {what}")?;
        }
        rounds += 1;
        if labels.len() > most || rounds % 10 == 0 {
            most = most.max(labels.len());
            writeln!(
                report,
                "round {rounds}: {} labels, at most {most}",
                labels.len()
            )?;
        }
        sleep(Duration::from_millis(500));
    }
}

/// The labels of the program's processes, and what is wrong with them.
fn look(program: &str, prefix: &str) -> (BTreeSet<String>, Vec<String>) {
    let (mut labels, mut wrong) = (BTreeSet::new(), Vec::new());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let path = process.path();
        // One that has ended meanwhile has neither.
        let Ok(file) = fs::read_link(path.join("exe")) else {
            continue;
        };
        if file != Path::new(program) {
            continue;
        }
        let Ok(label) = fs::read_to_string(path.join("attr/current")) else {
            continue;
        };
        let label = label.trim_end();
        if label.starts_with(prefix) && label.ends_with(" (enforce)") {
            labels.insert(label.to_owned());
        } else if fs::read_link(path.join("exe")).is_ok() {
            wrong.push(format!("{} runs under {label:?}", path.display()));
        }
    }
    (labels, wrong)
}
