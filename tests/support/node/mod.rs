//! A real node: Debian with containerd, the kubelet and a kernel with AppArmor, booted in QEMU from a disk. Its kubelet reaches
//! the API server on loopback as 10.0.2.2, and the API server reaches the kubelet by a port that QEMU forwards, under the node's
//! name: `localhost`.

mod payload;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{Process, control_plane::ControlPlane, free_port, from_setup, wait_until};

/// The node's name.
pub(crate) const NODE: &str = "localhost";

/// A running node. It is ended with this; what it has written to its disk is gone then.
pub(crate) struct Node {
    qemu: Process,
    shell: u16,
}

impl Node {
    /// Boots, with its images in a registry on a port of loopback.
    pub(crate) fn start(folder: &Path, plane: &ControlPlane, registry: u16) -> Result<Self> {
        let setup = from_setup("ARMORGATE_TEST_NODE")?;
        let (kubelet, shell) = (free_port()?, free_port()?);
        let payload = payload::write(folder, plane, kubelet, registry)?;
        let [disk, kernel, initrd] = ["disk", "vmlinuz", "initrd"].map(|name| setup.join(name));
        let console = folder.join("console");
        let mut command = Command::new(setup.join("qemu/qemu-system-x86_64"));
        // Wide registers and copying byte by byte are slower than what there is without, where they are emulated.
        command.args(
            "-accel tcg,thread=multi -cpu max,-avx,-avx2,-erms,-fsrm -smp 2 -m 6144".split(' '),
        );
        command.args("-nodefaults -display none -monitor none".split(' '));
        command.arg("-kernel").arg(kernel);
        command.arg("-initrd").arg(initrd);
        command.args(["-append", COMMAND_LINE]);
        command.args(["-device", "virtio-rng-pci"]);
        // What is written goes to a file of QEMU's own, in the folder for temporary files; it is there after a reset.
        command.env("TMPDIR", folder);
        command.args(["-drive", &drive(&disk, "snapshot=on")]);
        command.args(["-drive", &drive(&payload, "readonly=on")]);
        let forward = |port: u16, to: u16| format!(",hostfwd=tcp:127.0.0.1:{port}-:{to}");
        let network = format!(
            "user,id=net{}{}",
            forward(kubelet, kubelet),
            forward(shell, SHELL)
        );
        command.args(["-netdev", &network, "-device", "virtio-net-pci,netdev=net"]);
        // The console's file is the log: what the kernel says last is what a test fails with.
        let file = format!("file,id=console,append=on,path={}", console.display());
        command.args(["-chardev", &file, "-serial", "chardev:console"]);
        let qemu = Process::start("qemu", console, &command)?;
        let mut node = Self { qemu, shell };
        node.wait_until_up()?;
        Ok(node)
    }

    /// Waits for the shell: the first process starts it before containerd and the kubelet.
    fn wait_until_up(&mut self) -> Result<()> {
        let shell = self.shell;
        self.qemu.wait_until("up", 180, || {
            let answer = ask(shell, "true", BOOT_ANSWER).ok()?;
            (answer.0 == 0).then_some(())
        })
    }

    /// Runs a script in the node, as root: its exit status, and what it printed.
    pub(crate) fn run(&self, script: &str) -> Result<(i32, String)> {
        ask(self.shell, script, ANSWER)
    }

    /// The same of one that must succeed.
    pub(crate) fn must(&self, script: &str) -> Result<String> {
        let (status, output) = self.run(script)?;
        ensure!(status == 0, "`{script}` in the node: {status}: {output}");
        Ok(output)
    }

    /// Puts a program of this machine into the node.
    pub(crate) fn put(&self, file: &Path, path: &str) -> Result<()> {
        let text = STANDARD.encode(fs::read(file)?);
        let script = format!("base64 -d >{path} <<'END'\n{text}\nEND\nchmod +x {path}");
        self.must(&script)?;
        Ok(())
    }

    /// Resets the machine, without a word to those who run, and waits until it is up again.
    pub(crate) fn reset(&mut self) -> Result<()> {
        let before = self.must("cat /proc/sys/kernel/random/boot_id")?;
        // The answer is lost.
        let _ = ask(self.shell, "echo b >/proc/sysrq-trigger", BOOT_ANSWER);
        wait_until("reset", 180, || {
            let now = ask(
                self.shell,
                "cat /proc/sys/kernel/random/boot_id",
                BOOT_ANSWER,
            );
            Ok(now
                .is_ok_and(|(status, id)| status == 0 && id != before)
                .then_some(()))
        })
    }

    /// What the kernel and the first process have said.
    pub(crate) fn console(&self) -> String {
        self.qemu.output()
    }

    /// What the kubelet and containerd have said last.
    pub(crate) fn logs(&self) -> String {
        let script = "tail -n 40 /var/log/node/*.log";
        self.run(script)
            .map_or_else(|error| format!("{error:#}"), |(_, text)| text)
    }
}

/// Has the node's shell run a script. QEMU takes connections for a guest that does not: no status, no answer.
fn ask(port: u16, script: &str, limit: Duration) -> Result<(i32, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(limit))?;
    // Braces: the shell has read all of it before anything in it reads the shell's own input.
    write!(
        stream,
        "{{\n{script}\n}} </dev/null 2>&1\necho \"{STATUS}$?\"\n"
    )?;
    let mut answer = String::new();
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let length = lines.read_until(b'\n', &mut line)?;
        ensure!(length > 0, "no answer from the node: {answer}");
        let line = String::from_utf8_lossy(&line);
        // What was printed last may have no end of line.
        if let Some((last, status)) = line.split_once(STATUS) {
            return Ok((status.trim_end().parse()?, answer + last));
        }
        answer += &line;
    }
}

fn drive(file: &Path, option: &str) -> String {
    format!("file={},format=raw,if=virtio,{option}", file.display())
}

/// Before a script's exit status. Not waited for: the end of what the shell prints, which who was left running may have too.
const STATUS: &str = "the script's exit status: ";
/// The guest's port of the shell.
const SHELL: u16 = 9999;
const BOOT_ANSWER: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_mins(5);
/// Mitigations: nobody else is on these processors.
const COMMAND_LINE: &str = "root=/dev/vda rw init=/usr/sbin/node-init console=ttyS0 panic=-1 quiet apparmor=1 security=apparmor \
     mitigations=off net.ifnames=0 log_buf_len=16M printk.devkmsg=on";
