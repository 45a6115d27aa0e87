//! A broker on a virtual machine that starts its helpers as programs of their own, and whose tools are machines too.

use serde_json::json;

use crate::subject::{Entry, Subject};

pub(crate) fn rabbitmq() -> Subject {
    let own = vec![
        Entry::program(
            "usr/local/bin/docker-entrypoint.sh",
            include_str!("files/rabbitmq.sh"),
        ),
        // Of packages that are only unpacked they belong to root.
        Entry::folder("var/lib/rabbitmq", 994),
        Entry::folder("var/log/rabbitmq", 994),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["rabbitmq-server"],
            "Env": [
                "PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/sbin:/usr/bin",
                "HOME=/var/lib/rabbitmq",
                "RABBITMQ_LOGS=-",
                "RABBITMQ_NODENAME=rabbit@localhost",
            ],
        }),
        // The broker's own tool is one more machine: where the processor is emulated, asking by it again and again would keep
        // the broker from starting. To the header of its protocol it answers with what it can do.
        probe: &[
            "bash",
            "-c",
            "exec 3<>/dev/tcp/127.0.0.1/5672 && printf 'AMQP\\0\\0\\11\\1' >&3 && head -c 100 <&3 | grep -ao publisher_confirms",
        ],
        answer: "publisher_confirms",
        hook: &[
            "sh",
            "-c",
            "epmd -names | grep -q rabbit && rabbitmq-diagnostics --quiet ping",
        ],
        // Where its tools are is told by a function of theirs.
        unknown: "the output of `rmq_realpath",
        needs: Some("/usr/sbin/gosu"),
        ..Subject::of_packages("rabbitmq", &["base", "gosu", "rabbitmq"], own)
    }
}
