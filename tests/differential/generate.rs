//! Random profiles, from the grammar of what rules can say. Few letters, so that rules meet.

use std::fmt::Write as _;

use crate::compiled::ParserVersion;

/// Numbers that look random, the same for the same seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn some(&mut self, from: &[&str], most: usize, between: &str) -> String {
        let mut words = Vec::new();
        for _ in 0..=self.below(most) {
            let word = self.pick(from);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(between)
    }

    fn maybe(&mut self, chance: usize, text: impl FnOnce(&mut Self) -> String) -> String {
        if self.percent(chance) {
            text(self)
        } else {
            String::new()
        }
    }
}

/// A profile in parts, so that one that fails can be made small.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    pub(crate) preamble: Vec<String>,
    pub(crate) head: String,
    pub(crate) body: Vec<String>,
}

impl Generated {
    pub(crate) fn text(&self) -> String {
        let mut text = self.preamble.join("\n");
        let _ = write!(text, "\n{} {{\n", self.head);
        for rule in &self.body {
            let _ = writeln!(text, "  {rule}");
        }
        text.push_str("}\n");
        text
    }
}

/// What rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Paths, links, changes of profile.
    Files,
    /// The other classes.
    Others,
    /// Everything.
    All,
}

/// Makes profiles that a version of the parser should know.
pub(crate) struct Generator<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) version: ParserVersion,
    /// How most of this profile's rules run programs: others would mostly be in conflict.
    exec: &'static str,
    /// Of what stands in no profile.
    outside: bool,
    /// Whether sockets are those of network rules, or of unix rules. The parser merges rules of both kinds that say the same
    /// of Unix sockets, and then loses what the unix rules say to kernels that know families only.
    sockets: bool,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(random: &'a mut Random, version: ParserVersion) -> Self {
        let exec = random.pick(&EXECS);
        let sockets = random.percent(60);
        Self {
            random,
            version,
            exec,
            outside: false,
            sockets,
        }
    }

    pub(crate) fn profile(&mut self, name: &str, theme: Theme) -> Generated {
        let abi = match self.version {
            ParserVersion::V5_0 => {
                let abis = ["5.0", "5.0", "4.0", "4.0-ip", "3.0", ""];
                self.random.pick(&abis)
            }
            ParserVersion::V4_1 => self.random.pick(&["4.0", "3.0", ""]),
            ParserVersion::V3_0 => "3.0",
        };
        let mut preamble = Vec::new();
        if !abi.is_empty() {
            preamble.push(format!("abi <abi/{abi}>,"));
        }
        preamble.push("@{ROOT}=/ /r/".to_owned());
        // Values that are the same, and rules that aliases add, are new in 5.0.
        let newest = self.version == ParserVersion::V5_0;
        let other = if newest { "" } else { "c" };
        preamble.push(format!(
            "@{{V}}=\"{}\" \"{other}{}\"",
            self.value(),
            self.value()
        ));
        preamble.push("@{W}=\"\" b@{V}".to_owned());
        if self.random.percent(20) {
            preamble.push(format!("@{{V}}+=\"{}/\"", self.value()));
        }
        if newest && self.random.percent(15) {
            preamble.push(format!(
                "alias /a/ -> /{}/,",
                self.random.pick(&["b", "c/d", "a"])
            ));
        }
        if newest && self.random.percent(10) {
            preamble.push("alias /b -> /a,".to_owned());
        }
        let attachment = self.random.maybe(40, |random| {
            let mut inner = Generator::new(random, ParserVersion::V5_0);
            inner.outside = true;
            format!(" {}", inner.path())
        });
        let flags = self.random.maybe(15, |random| {
            let flags = [
                "complain",
                "audit",
                "attach_disconnected",
                "mediate_deleted",
            ];
            format!(" flags=({})", random.pick(&flags))
        });
        let head = format!("profile {name}{attachment}{flags}");
        let mut body = Vec::new();
        for _ in 0..=self.random.below(9) {
            body.push(self.statement(theme));
        }
        if self.random.percent(12) {
            body.push(self.child());
        }
        Generated {
            preamble,
            head,
            body,
        }
    }

    fn child(&mut self) -> String {
        let kind = self
            .random
            .pick(&["profile c", "^h", "hat h2", "profile d /a/*"]);
        let mut text = format!("{kind} {{ ");
        for _ in 0..=self.random.below(3) {
            let rule = self.file();
            let _ = write!(text, "{rule} ");
        }
        text.push('}');
        text
    }

    fn statement(&mut self, theme: Theme) -> String {
        // Blocks of 3.0 have other rules.
        if self.version > ParserVersion::V3_0 && self.random.percent(6) {
            let prefix = self.random.pick(&[
                "",
                "owner",
                "deny",
                "audit",
                "allow",
                "other",
                "audit deny owner",
            ]);
            let mut text = format!("{prefix} {{ ");
            for _ in 0..=self.random.below(3) {
                let rule = self.rule(Theme::Files);
                let _ = write!(text, "{rule} ");
            }
            text.push('}');
            return text;
        }
        // Branches of 3.0 keep rules about files only.
        if self.version > ParserVersion::V3_0 && self.random.percent(4) {
            let condition = self.random.pick(&[
                "defined @{V}",
                "not defined @{V}",
                "defined @{NONE} or defined @{W}",
            ]);
            let condition = match self.version {
                ParserVersion::V5_0 => condition,
                ParserVersion::V3_0 | ParserVersion::V4_1 => "defined @{V}",
            };
            let (yes, no) = (self.rule(theme), self.rule(theme));
            return format!("if {condition} {{ {yes} }} else {{ {no} }}");
        }
        self.rule(theme)
    }

    fn rule(&mut self, theme: Theme) -> String {
        match theme {
            Theme::Files => self.file(),
            Theme::All if self.random.percent(50) => self.file(),
            Theme::Others | Theme::All => self.other(),
        }
    }

    /// A piece of a glob without `/` at its ends.
    fn piece(&mut self, depth: usize) -> String {
        if depth < 2 && self.random.percent(12) {
            let mut branches = Vec::new();
            for _ in 0..2 + self.random.below(2) {
                branches.push(if self.random.percent(25) {
                    String::new()
                } else {
                    self.pieces(depth + 1)
                });
            }
            return format!("{{{}}}", branches.join(","));
        }
        let pieces = [
            "a", "b", "c", "a", "b", "ab", "ba", "d.e", "*", "*", "**", "?", "[ab]", "[^a]",
            "[a-c]", "[^b-d]", "[c-a]", "\\*", "\\[", "\\,", "\\x61", "\\101", "\\d97", "é", "+",
            "^", "$", "|", "(", ")", ".", "-", "***", "\\\\", "[a/]", "[.-a]", "[^/]", "a\\?",
            "**/", "/*", "x/**", "%", "[*a]", "[-a]", "[{,}]", "[a\\-c]", "[a^]",
        ];
        self.random.pick(&pieces).to_owned()
    }

    /// A value of a variable.
    fn value(&mut self) -> String {
        loop {
            let value = self.piece(1);
            // Which slashes next to variables are left out differs.
            let slashes = self.version == ParserVersion::V5_0;
            if !value.contains('@') && (slashes || !value.starts_with('/')) {
                return value;
            }
        }
    }

    fn pieces(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for index in 0..=self.random.below(3) {
            if index > 0 && self.random.percent(35) {
                text.push_str(if self.random.percent(8) { "//" } else { "/" });
            }
            if self.random.percent(8) {
                text.push_str(
                    self.random
                        .pick(&["@{V}", "@{W}", "@{W}/", "@{profile_name}"]),
                );
            } else {
                text.push_str(&self.piece(depth));
            }
        }
        text
    }

    pub(crate) fn path(&mut self) -> String {
        if self.random.percent(12) {
            let usual = [
                "/a", "/a/", "/**", "/{,**}", "/a/**", "/a/b", "/", "//a", "/*/", "/a/{,**}", "/b*",
            ];
            return self.random.pick(&usual).to_owned();
        }
        let start = if self.random.percent(10) {
            "@{ROOT}"
        } else {
            "/"
        };
        let mut path = format!("{start}{}", self.pieces(0));
        if path == "/*" {
            // The parser takes it for the label `**` of `change_profile,`, and loses one of the two.
            path.push('b');
        }
        if self.random.percent(12) {
            path.push('/');
        }
        if path.contains(['(', ')', '|', '$', '%', '+', '^', '{', '[', '\\'])
            || self.random.percent(5)
        {
            path = format!("\"{path}\"");
        }
        if self.outside {
            path.replace("@{profile_name}", "n")
        } else {
            path
        }
    }

    fn label(&mut self) -> String {
        let label = match self.random.below(8) {
            0 => "**".to_owned(),
            1 => "unconfined".to_owned(),
            2 => "a//&b".to_owned(),
            3 => self.path(),
            4 => ":ns:a*".to_owned(),
            5 => "@{profile_name}".to_owned(),
            _ => self.pieces(0),
        };
        if label.starts_with('"') {
            label
        } else {
            format!("\"{label}\"")
        }
    }

    fn qualifiers(&mut self, owner: bool, priority: bool) -> String {
        let mut text = String::new();
        if priority && self.version > ParserVersion::V3_0 && self.random.percent(15) {
            let _ = write!(
                text,
                "priority={} ",
                self.random.pick(&["-1", "1", "2", "10", "-100", "0"])
            );
        }
        text.push_str(&self.random.maybe(6, |_| "audit ".to_owned()));
        text.push_str(&self.random.maybe(4, |_| "allow ".to_owned()));
        if !text.ends_with("allow ") {
            text.push_str(&self.random.maybe(15, |_| "deny ".to_owned()));
        }
        if owner {
            text.push_str(&self.random.maybe(15, |random| {
                random.pick(&["owner ", "owner ", "other "]).to_owned()
            }));
        }
        text
    }

    /// Letters, with an exec of the profile's liking now and then.
    fn permissions(&mut self, deny: bool) -> (String, bool) {
        let mut letters = self
            .random
            .some(&["r", "w", "k", "l", "m", "r", "r", "w"], 3, "");
        if self.random.percent(10) && !letters.contains('w') {
            letters.push('a');
        }
        let exec = self.random.percent(25);
        if exec {
            // To 3.0 sets of bytes are not exact, so that other programs are run in the one way or the other.
            let mode = if self.version == ParserVersion::V3_0 || self.random.percent(85) {
                self.exec
            } else {
                self.random.pick(&EXECS)
            };
            letters.push_str(if deny { "x" } else { mode });
        }
        (letters, exec)
    }

    fn file(&mut self) -> String {
        let qualifiers = self.qualifiers(true, true);
        let deny = qualifiers.contains("deny");
        if self.random.percent(8) {
            let subset = self.random.maybe(40, |_| "subset ".to_owned());
            return format!(
                "{qualifiers}link {subset}{} -> {},",
                self.path(),
                self.path()
            );
        }
        if self.random.percent(6) {
            let qualifiers = self.qualifiers(false, true);
            let exec = self.random.maybe(40, |random| {
                let mode = random.pick(&["", "safe ", "unsafe "]);
                let path = Generator::new(random, ParserVersion::V5_0).path();
                format!(" {mode}{path}")
            });
            let target = if self.random.percent(80) {
                // A rule about a path that differs in its first byte alone would be merged with it, and lost.
                let label = self.label();
                let begins = label.trim_start_matches('"').starts_with([':', '@', '*']);
                let unlike = if begins { "\"" } else { "\"zz" };
                format!(" -> {}", label.replacen('"', unlike, 1))
            } else {
                String::new()
            };
            return format!("{qualifiers}change_profile{exec}{target},");
        }
        if self.version > ParserVersion::V3_0 && self.random.percent(2) && !deny {
            return format!("{qualifiers}file,");
        }
        if self.random.percent(2) && self.version > ParserVersion::V3_0 {
            return self
                .random
                .pick(&["all,", "deny all,", "audit all,"])
                .to_owned();
        }
        let (letters, exec) = self.permissions(deny);
        let path = self.path();
        let keyword = self.random.maybe(15, |_| "file ".to_owned());
        let varied = exec && !deny && self.version > ParserVersion::V3_0;
        let mode = if varied && self.random.percent(8) {
            self.random.pick(&["safe ", "unsafe "])
        } else {
            ""
        };
        let target = if varied
            && !letters.contains("ux")
            && !letters.contains("Ux")
            && self.random.percent(25)
        {
            let targets = [
                " -> t",
                " -> c",
                " -> /a/b",
                " -> a//&b",
                " -> &s",
                " -> @{V}",
                " -> :ns:t",
                " -> &:ns:t",
            ];
            // Those of old are in another form in the table, and variables in them are expanded.
            let known = if self.version == ParserVersion::V5_0 {
                8
            } else {
                4
            };
            self.random.pick(&targets[..known])
        } else {
            ""
        };
        if self.random.percent(80) {
            format!("{qualifiers}{mode}{keyword}{path} {letters}{target},")
        } else {
            let link = letters.contains('l');
            let target = if link && !exec && self.random.percent(30) {
                format!(" -> {}", self.path())
            } else if link {
                String::new()
            } else {
                target.to_owned()
            };
            format!("{qualifiers}{mode}{keyword}{letters} {path}{target},")
        }
    }

    fn permission_list(&mut self, words: &[&str]) -> String {
        match self.random.below(3) {
            0 => String::new(),
            1 => format!(" {}", self.random.pick(words)),
            _ => format!(" ({})", self.random.some(words, 3, " ")),
        }
    }

    /// A condition, or nothing.
    fn condition(
        &mut self,
        name: &str,
        chance: usize,
        value: impl FnOnce(&mut Self) -> String,
    ) -> String {
        if self.random.percent(chance) {
            format!(" {name}={}", value(self))
        } else {
            String::new()
        }
    }

    fn word(&mut self) -> String {
        let words = ["a", "b", "a*", "[ab]", "org.a", "**", "ab?"];
        format!("\"{}\"", self.random.pick(&words))
    }

    fn other(&mut self) -> String {
        let q = self.qualifiers(false, true);
        let plain = self.qualifiers(false, false);
        let newer = self.version > ParserVersion::V3_0;
        // Of 3.0 mounts permit more than they say, and sockets and D-Bus are written down in other ways.
        let kind = if newer {
            self.random.below(13)
        } else {
            [0, 3, 4][self.random.below(3)]
        };
        match kind {
            0 => format!(
                "{plain}capability {},",
                self.random
                    .some(&["chown", "kill", "sys_admin", "bpf", "mac_admin"], 3, " ")
            ),
            1 | 2 if self.sockets => self.network(),
            1 | 2 | 7 if !self.sockets => self.unix(&q),
            3 => {
                let permissions = self.permission_list(&["send", "receive", "r", "w", "rw"]);
                let signals = [
                    "hup", "kill", "term", "exists", "rtmin+3", "rtmin+32", "emt", "int",
                ];
                let set = if self.random.percent(60) {
                    format!(" set=({})", self.random.some(&signals, 3, " "))
                } else {
                    String::new()
                };
                let peer = self.condition("peer", 60, Self::label);
                format!("{q}signal{permissions}{set}{peer},")
            }
            4 => {
                let permissions = self.permission_list(&["read", "trace", "readby", "tracedby"]);
                let peer = self.condition("peer", 60, Self::label);
                format!("{q}ptrace{permissions}{peer},")
            }
            5 | 6 => self.dbus(&q),
            7..=9 => self.mount(&q),
            10 => format!("{q}userns{},", self.random.pick(&["", " create"])),
            11 => {
                let permissions = self.permission_list(&["sqpoll", "override_creds"]);
                let label = self.condition("label", 40, Self::word);
                format!("{q}io_uring{permissions}{label},")
            }
            _ => {
                let permissions = self.permission_list(&[
                    "create", "open", "delete", "getattr", "setattr", "read", "write", "r", "w",
                ]);
                match self.random.below(4) {
                    0 => format!("{q}mqueue{permissions},"),
                    1 => format!("{q}mqueue{permissions} {},", self.path()),
                    2 => {
                        // Of old, rules with labels are about those alone.
                        let chance = if self.version == ParserVersion::V5_0 {
                            60
                        } else {
                            0
                        };
                        let label = self.condition("label", chance, Self::label);
                        format!("{q}mqueue{permissions} type=posix{label} {},", self.path())
                    }
                    _ => format!("{q}mqueue{permissions} type=posix,"),
                }
            }
        }
    }

    fn network(&mut self) -> String {
        let q = self.qualifiers(false, false);
        if self.version != ParserVersion::V5_0 {
            // Without a type 5.0 means those that have no name as well.
            let kinds = [
                " inet stream",
                " inet tcp",
                " stream",
                " unix dgram",
                " inet6 raw",
                " netlink raw",
                " udp",
            ];
            return format!("{q}network{},", self.random.pick(&kinds));
        }
        let permissions = if self.version == ParserVersion::V5_0 {
            self.permission_list(&[
                "create", "bind", "send", "receive", "connect", "accept", "listen", "getopt",
            ])
        } else {
            String::new()
        };
        let kind = self.random.pick(&[
            "",
            " inet",
            " inet6",
            " unix",
            " netlink raw",
            " inet stream",
            " inet tcp",
            " stream",
            " dgram",
            " inet6 dgram",
            " udp",
            " icmp",
            " tcp",
            " packet raw",
            " raw",
            " unix stream",
            " bluetooth",
            " inet udp",
            " inet icmp",
            " seqpacket",
        ]);
        if self.version != ParserVersion::V5_0 || self.random.percent(50) {
            return format!("{q}network{permissions}{kind},");
        }
        let inet = self.random.pick(&[
            "inet",
            "inet6",
            "inet stream",
            "inet6 dgram",
            "inet tcp",
            "inet udp",
            "",
        ]);
        let ips: &[&str] = if inet.starts_with("inet6") {
            &["::1", "2001:db8::7", "fe80::1", "none"]
        } else {
            &["127.0.0.1", "10.0.0.1", "192.168.1.200", "none"]
        };
        let ip = self
            .random
            .maybe(50, |random| format!(" ip={}", random.pick(ips)));
        let port = self.random.maybe(40, |random| {
            format!(
                " port={}",
                random.pick(&["80", "443-500", "0", "65535", "1000-9000"])
            )
        });
        let label = self.condition("label", 15, Self::word);
        let peer = self.random.maybe(40, |random| {
            let permissions = random.maybe(60, |random| format!("ip={}", random.pick(ips)));
            let port = random.maybe(60, |random| {
                format!(" port={}", random.pick(&["80", "443-500", "8080"]))
            });
            let label = random.maybe(20, |_| " label=x*".to_owned());
            let inner = format!("{permissions}{port}{label}");
            if inner.is_empty() {
                String::new()
            } else {
                format!(" peer=({})", inner.trim())
            }
        });
        let permissions = if peer.is_empty() {
            permissions
        } else {
            self.permission_list(&["send", "receive", "connect", "accept"])
        };
        let inet = if inet.is_empty() {
            String::new()
        } else {
            format!(" {inet}")
        };
        format!("{q}network{permissions}{inet}{ip}{port}{label}{peer},")
    }

    fn dbus(&mut self, q: &str) -> String {
        let bus = self.condition("bus", 50, |inner| {
            inner.random.pick(&["session", "system", "s*"]).to_owned()
        });
        match self.random.below(4) {
            0 => {
                let name = self.condition("name", 60, Self::word);
                format!("{q}dbus bind{bus}{name},")
            }
            1 => format!("{q}dbus eavesdrop{bus},"),
            2 => format!("{q}dbus{bus},"),
            _ => {
                let permissions = self
                    .random
                    .pick(&[" send", " receive", " (send receive)", ""]);
                let path = self.condition("path", 50, Self::path);
                let interface = self.condition("interface", 40, Self::word);
                let member = self.condition("member", 40, Self::word);
                let peer = if self.random.percent(50) {
                    let name = self.condition("name", 70, Self::word);
                    let label = self.condition("label", 70, Self::label);
                    if name.is_empty() && label.is_empty() {
                        String::new()
                    } else {
                        format!(" peer=({}{})", name.trim(), label)
                    }
                } else {
                    String::new()
                };
                format!("{q}dbus{permissions}{bus}{path}{interface}{member}{peer},")
            }
        }
    }

    fn unix(&mut self, q: &str) -> String {
        // What is logged of one of `getopt` and `setopt` takes the other away from rules of less priority: not modelled.
        let q = if q.contains("deny") {
            q.to_owned()
        } else {
            q.replace("audit ", "")
        };
        let addresses = [
            "none",
            "auto",
            "\"@a*\"",
            "\"@ab\"",
            "\"@[ab]**\"",
            "\"@{a,b}c\"",
        ];
        let kind = self.condition("type", 50, |inner| {
            inner
                .random
                .pick(&["stream", "dgram", "seqpacket"])
                .to_owned()
        });
        let address = self.condition("addr", 40, |inner| inner.random.pick(&addresses).to_owned());
        if self.random.percent(50) {
            let permissions = self.permission_list(&[
                "create", "bind", "listen", "getattr", "setattr", "getopt", "setopt", "shutdown",
                "send", "connect", "rw",
            ]);
            let label = self.condition("label", 10, Self::label);
            return format!("{q}unix{permissions}{kind}{address}{label},");
        }
        let permissions = self.permission_list(&["send", "receive", "connect", "accept", "rw"]);
        let name = self.condition("addr", 60, |inner| inner.random.pick(&addresses).to_owned());
        let label = self.condition("label", 60, Self::label);
        let peer = if name.is_empty() && label.is_empty() {
            String::new()
        } else {
            format!(" peer=({}{})", name.trim(), label)
        };
        format!("{q}unix{permissions}{kind}{address}{peer},")
    }

    fn mount(&mut self, q: &str) -> String {
        let kinds = ["ext4", "tmpfs", "\"a*\"", "(ext4 tmpfs)"];
        let fstype = self.condition("fstype", 35, |inner| inner.random.pick(&kinds).to_owned());
        let words = [
            "ro", "rw", "nosuid", "nodev", "noexec", "noatime", "sync", "relatime", "mand",
        ];
        let others = [
            "bind",
            "rbind",
            "move",
            "remount",
            "private",
            "rshared",
            "slave",
            "make-unbindable",
            "make-rprivate",
        ];
        let mut options = String::new();
        for _ in 0..self.random.below(3) {
            let (operator, mut list) = if self.random.percent(60) {
                ("=", self.random.some(&words, 3, ","))
            } else {
                (" in ", self.random.some(&words, 3, ","))
            };
            if self.random.percent(25) {
                list = format!("{list},{}", self.random.pick(&others));
            }
            if self.random.percent(12) {
                self.random.pick(&others).clone_into(&mut list);
            }
            let _ = write!(options, " options{operator}({list})");
        }
        match self.random.below(10) {
            0 => format!("{q}umount {},", self.path()),
            1 => format!("{q}umount,"),
            2 => {
                let old = self.condition("oldroot", 50, Self::path);
                format!("{q}pivot_root{old} {},", self.path())
            }
            3 => format!("{q}remount{options} {},", self.path()),
            4 => format!("{q}mount,"),
            5 => format!("{q}mount{fstype}{options},"),
            6 => format!("{q}mount{fstype}{options} {},", self.path()),
            7 => format!("{q}mount{fstype}{options} -> {},", self.path()),
            _ => format!(
                "{q}mount{fstype}{options} {} -> {},",
                self.path(),
                self.path()
            ),
        }
    }
}

const EXECS: [&str; 15] = [
    "ix", "ix", "px", "Px", "cx", "Cx", "ux", "Ux", "pix", "Pix", "cix", "Cix", "pux", "PUx", "cux",
];
