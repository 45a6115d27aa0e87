#![expect(clippy::print_stdout, reason = "it prints a table")]
#[path = "../fuzz/cases.rs"]
mod cases;
fn main() -> anyhow::Result<()> {
    let only = std::env::args().nth(1).unwrap_or_default();
    for case in cases::all() {
        if !case.name.contains(&only) { continue; }
        let limits = cases::Limits { deadline: std::time::Duration::from_secs(30), data: 1024 };
        match case.run(std::path::Path::new(env!("CARGO_BIN_EXE_armorgate")), limits) {
            Ok(taken) => println!("{:60} {} {:7.3} s {:7.1} MiB {}", case.name, taken.code, taken.seconds, taken.memory, if taken.seconds > 2.0 || taken.memory > 256.0 { "MISSED" } else { "" }),
            Err(error) => println!("FAIL {error:#}"),
        }
    }
    Ok(())
}
