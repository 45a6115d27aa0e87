//! Servers with the start scripts that such images have.

use serde_json::json;

use crate::subject::{Entry, SEARCH_PATH, Subject};

pub(crate) fn redis() -> Subject {
    let own = vec![
        Entry::program(
            "usr/local/bin/docker-entrypoint.sh",
            include_str!("files/redis.sh"),
        ),
        Entry::folder("data", 999),
        // Of another owner: there is something for `chown` to do.
        Entry::text("data/left.rdb", ""),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["redis-server"],
            "Env": [SEARCH_PATH], "WorkingDir": "/data",
        }),
        probe: &["redis-cli", "ping"],
        answer: "PONG",
        hook: &["sh", "-c", "redis-cli save | grep -q OK"],
        needs: Some("/usr/bin/find"),
        ..Subject::of_packages("redis", &["base", "gosu", "redis"], own)
    }
}

pub(crate) fn nginx() -> Subject {
    let own = vec![
        Entry::program("docker-entrypoint.sh", include_str!("files/nginx.sh")),
        Entry::program(
            "docker-entrypoint.d/10-listen.sh",
            include_str!("files/listen.sh"),
        ),
        Entry::program(
            "docker-entrypoint.d/20-workers.envsh",
            "export NGINX_WORKERS=\"${NGINX_WORKERS:-1}\"\n",
        ),
        Entry::text("docker-entrypoint.d/README", "Not a hook.\n"),
        Entry::text(
            "etc/nginx/conf.d/default.conf",
            include_str!("files/nginx.conf"),
        ),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["nginx", "-g", "daemon off;"],
            "Env": [SEARCH_PATH],
        }),
        // Ends it: workers are let go on with what they have begun.
        hook: &["sh", "-c", "sleep 1; nginx -s quit"],
        needs: Some("/usr/bin/find"),
        ..Subject::of_packages("nginx", &["base", "busybox", "nginx"], own)
    }
}

pub(crate) fn memcached() -> Subject {
    let own = vec![Entry::program(
        "usr/local/bin/docker-entrypoint.sh",
        include_str!("files/memcached.sh"),
    )];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["memcached", "-u", "memcache"],
            "Env": [SEARCH_PATH],
        }),
        probe: &[
            "sh",
            "-c",
            "printf 'version\\r\\nquit\\r\\n' | busybox nc 127.0.0.1 11211",
        ],
        answer: "VERSION",
        needs: Some("/usr/bin/memcached"),
        ..Subject::of_packages("memcached", &["base", "busybox", "memcached"], own)
    }
}

/// A master that runs itself again as its worker.
pub(crate) fn haproxy() -> Subject {
    let own = vec![
        Entry::program(
            "usr/local/bin/docker-entrypoint.sh",
            include_str!("files/haproxy.sh"),
        ),
        Entry::text(
            "usr/local/etc/haproxy/haproxy.cfg",
            include_str!("files/haproxy.cfg"),
        ),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
            "Env": [SEARCH_PATH],
        }),
        // A reload: the master executes itself.
        hook: &["sh", "-c", "kill -USR2 1; sleep 3"],
        needs: Some("/usr/sbin/haproxy"),
        ..Subject::of_packages("haproxy", &["base", "busybox", "haproxy"], own)
    }
}
