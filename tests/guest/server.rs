//! A static program, alone in its image as compiled languages make them: it answers on a port until it is told to end.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, ExitCode},
};

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    safe fn _exit(status: i32) -> !;
}

/// A container's first process does not die of a signal that it has no handler for.
extern "C" fn end(_number: i32) {
    _exit(0)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] | ["serve", _] => serve(),
        ["wait", _] => wait(),
        ["ask"] => ask(),
        ["run", program] => Command::new(program).arg("ask").status().map(drop),
        _ => return ExitCode::from(2),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if error.raw_os_error() == Some(13) { 126 } else { 1 })
        }
    }
}

fn serve() -> std::io::Result<()> {
    // SAFETY: the handler only ends the process, which may be done at any time.
    unsafe { signal(15, end) };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
    for connection in listener.incoming() {
        connection?.write_all(b"served\n")?;
    }
    Ok(())
}

/// Does nothing, on no port, until it is told to end.
fn wait() -> std::io::Result<()> {
    // SAFETY: as above.
    unsafe { signal(15, end) };
    loop {
        std::thread::park();
    }
}

fn ask() -> std::io::Result<()> {
    let mut answer = String::new();
    TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?.read_to_string(&mut answer)?;
    print!("{answer}");
    Ok(())
}

const PORT: u16 = 8080;
