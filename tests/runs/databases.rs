//! Databases that make their files at the first start.

use serde_json::json;

use crate::subject::{Entry, SEARCH_PATH, Subject};

pub(crate) fn postgres() -> Subject {
    let own = vec![
        Entry::program(
            "usr/local/bin/docker-entrypoint.sh",
            include_str!("files/postgres.sh"),
        ),
        Entry::text(
            "docker-entrypoint-initdb.d/1-schema.sql",
            include_str!("files/schema.sql"),
        ),
        // Of packages that are only unpacked it is no link to `/run`.
        Entry::folder("var/run/postgresql", 998),
        Entry::folder("var/lib/postgresql/data", 0),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"],
            "Env": [
                "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/usr/lib/postgresql/17/bin",
                "PGDATA=/var/lib/postgresql/data",
            ],
        }),
        probe: &[
            "psql",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-tAc",
            "select word from answers",
        ],
        hook: &["gosu", "postgres", "pg_ctl", "-m", "fast", "-W", "stop"],
        // It reads the files of a folder, and one that another program unpacks.
        unknown: "`psql` runs is not followed",
        // The files are there by then: what makes them is not started again.
        needs: Some("/usr/sbin/gosu"),
        ..Subject::of_packages("postgres", &["base", "gosu", "postgres"], own)
    }
}

pub(crate) fn mariadb() -> Subject {
    let own = vec![
        Entry::program(
            "usr/local/bin/docker-entrypoint.sh",
            include_str!("files/mariadb.sh"),
        ),
        Entry::text(
            "docker-entrypoint-initdb.d/1-schema.sql",
            include_str!("files/schema.sql"),
        ),
        Entry::text("etc/mysql/my.cnf", include_str!("files/my.cnf")),
        Entry::folder("run/mysqld", 997),
        Entry::folder("var/lib/mysql", 0),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["mariadbd"],
            "Env": [SEARCH_PATH, "MARIADB_DATABASE=site"],
        }),
        probe: &[
            "mariadb",
            "-h",
            "127.0.0.1",
            "-u",
            "root",
            "-N",
            "-e",
            "select word from site.answers",
        ],
        hook: &["mariadb", "-u", "root", "-e", "shutdown"],
        needs: Some("/usr/sbin/gosu"),
        // `uname` is on the list of this one.
        attempt: &["sh", "-c", "exec /usr/bin/factor"],
        unlisted: "/usr/bin/factor",
        unknown: "mariadb-install-db",
        ..Subject::of_packages("mariadb", &["base", "gosu", "mariadb"], own)
    }
}
