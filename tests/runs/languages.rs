//! Programs in languages whose code is not read: what they would start is unknown, and nothing of it may run.

use serde_json::json;

use crate::subject::{Entry, SEARCH_PATH, Subject};

/// A console script of a virtual environment, as `pip install` writes it.
pub(crate) fn python() -> Subject {
    let own = vec![
        Entry::pointer("app/venv/bin/python", "/usr/bin/python3"),
        Entry::pointer("app/venv/bin/python3", "python"),
        Entry::text(
            "app/venv/pyvenv.cfg",
            "home = /usr/bin\ninclude-system-site-packages = false\n",
        ),
        Entry::program("app/venv/bin/web", include_str!("files/console.py")),
        Entry::text(
            "app/venv/lib/python3.13/site-packages/web.py",
            include_str!("files/web.py"),
        ),
    ];
    Subject {
        config: json!({
            "Cmd": ["web"],
            "Env": ["PATH=/app/venv/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"],
            "WorkingDir": "/app",
        }),
        probe: &["web", "ask"],
        hook: &["sh", "-c", "touch /tmp/draining; sleep 1"],
        attempt: &["web", "run", "/usr/bin/uname"],
        unknown: "Python code is not read",
        ..Subject::of_packages("python", &["base", "python"], own)
    }
}

pub(crate) fn node() -> Subject {
    let own = vec![
        Entry::program(
            "usr/local/bin/docker-entrypoint.sh",
            include_str!("files/node.sh"),
        ),
        Entry::text("app/server.js", include_str!("files/server.js")),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["server.js"],
            "Env": [SEARCH_PATH], "WorkingDir": "/app",
        }),
        probe: &["node", "server.js", "ask"],
        attempt: &["node", "server.js", "run", "/usr/bin/uname"],
        needs: Some("/usr/bin/node"),
        unknown: "JavaScript",
        ..Subject::of_packages("node", &["base", "node"], own)
    }
}

/// The server that comes with the Java runtime: it wants no compiler.
pub(crate) fn java() -> Subject {
    let own = vec![
        Entry::program("usr/local/bin/start", include_str!("files/java.sh")),
        Entry::text("srv/site/index.html", "served\n"),
    ];
    Subject {
        config: json!({
            "Entrypoint": ["start"],
            "Env": [
                "JAVA_HOME=/usr/lib/jvm/java-21-openjdk-amd64",
                "PATH=/usr/lib/jvm/java-21-openjdk-amd64/bin:/usr/local/bin:/usr/bin:/bin",
            ],
        }),
        // What the machine's default is after `SIGTERM`.
        end: 143,
        needs: Some("/usr/lib/jvm/java-21-openjdk-amd64/bin/java"),
        ..Subject::of_packages("java", &["base", "busybox", "java"], own)
    }
}

/// A web server and the process manager that it hands scripts to.
pub(crate) fn php() -> Subject {
    let own = vec![
        Entry::program("usr/local/bin/start", include_str!("files/php.sh")),
        Entry::text(
            "etc/apache2/apache2.conf",
            include_str!("files/apache.conf"),
        ),
        Entry::text(
            "etc/php/8.4/fpm/php-fpm.conf",
            include_str!("files/fpm.conf"),
        ),
        Entry::text("etc/apache2/envvars", "APACHE_RUN_DIR=/run/apache2\n"),
        Entry::text(
            "var/www/html/index.php",
            "<?php echo 'ser', 'ved', \"\\n\";\n",
        ),
    ];
    Subject {
        config: json!({ "Cmd": ["start"], "Env": [SEARCH_PATH] }),
        // The end of the one in front: the script ends the other.
        hook: &[
            "sh",
            "-c",
            "sleep 1; kill -WINCH \"$(cat /run/apache2/apache2.pid)\"",
        ],
        needs: Some("/usr/sbin/php-fpm8.4"),
        unknown: "PHP",
        ..Subject::of_packages("php", &["base", "busybox", "php"], own)
    }
}
