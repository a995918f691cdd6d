//! `cargo xtask setup`: the programs and files that the tests use beside this workspace.
//!
//! What is there is left alone. As root on a Debian-like system the rest is
//! installed; anyone else is told what to install.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::command::{find_program, run as run_command, succeeds};

/// Installs what is missing, or says what to install.
pub(crate) fn run() -> Outcome {
    provide(NEEDS)
}

/// As [`run`], for what only `cargo xtask bench` needs.
pub(crate) fn run_for_bench() -> Outcome {
    provide(BENCH_NEEDS)
}

fn provide(needs: &'static [Need]) -> Outcome {
    for need in needs {
        println!("{} {} ({})", if need.is_met() { "have" } else { "want" }, need.what(), need.purpose);
    }
    match plan(&missing(needs, Need::is_met), find_program("apt-get").is_some(), is_root()) {
        Plan::Nothing => {
            println!("nothing to install");
            Ok(())
        }
        Plan::Install(packages) => {
            install(&packages)?;
            all_met(&missing(needs, Need::is_met))
        }
        Plan::Tell(sentence) => Err(sentence.into()),
    }
}

/// Something the tests need, and the Debian package that holds it.
struct Need {
    thing: Thing,
    package: &'static str,
    purpose: &'static str,
}

enum Thing {
    Program(&'static str),
    File(&'static str),
}

const NEEDS: &[Need] = &[
    Need {
        thing: Thing::Program("openssl"),
        package: "openssl",
        purpose: "a peer that is not rustls, and shows the alerts it gets",
    },
    Need {
        thing: Thing::Program("unbound"),
        package: "unbound",
        purpose: "a validating resolver that is not ours, over the test zones",
    },
    Need {
        thing: Thing::Program("named"),
        package: "bind9",
        purpose: "an authoritative and a validating server that is not ours",
    },
    Need {
        thing: Thing::Program("dnssec-signzone"),
        package: "bind9-utils",
        purpose: "signs the test zones, and breaks some of them",
    },
    Need {
        thing: Thing::Program("delv"),
        package: "bind9-dnsutils",
        purpose: "validates single answers, to compare with",
    },
    Need {
        thing: Thing::Program("knotd"),
        package: "knot",
        purpose: "an authoritative server for some of the test zones",
    },
    Need {
        thing: Thing::Program("nsd"),
        package: "nsd",
        purpose: "an authoritative server for some of the test zones",
    },
    Need { thing: Thing::Program("ip"), package: "iproute2", purpose: "networks of the tests' own" },
    Need { thing: Thing::Program("gnutls-cli"), package: "gnutls-bin", purpose: "a peer on GnuTLS" },
    Need { thing: Thing::Program("curl"), package: "curl", purpose: "a peer as scripts use it" },
    Need { thing: Thing::Program("go"), package: "golang-go", purpose: "a peer on Go's crypto/tls" },
    Need { thing: Thing::Program("javac"), package: "default-jdk-headless", purpose: "a peer on Java's TLS" },
    Need {
        thing: Thing::Program("kill"),
        package: "procps",
        purpose: "signals for the processes that the tests start",
    },
    Need {
        thing: Thing::File("/etc/ssl/certs/ca-certificates.crt"),
        package: "ca-certificates",
        purpose: "the system's own trust store",
    },
];

const BENCH_NEEDS: &[Need] = &[
    Need { thing: Thing::Program("haproxy"), package: "haproxy", purpose: "a proxy to compare with" },
    Need { thing: Thing::Program("nginx"), package: "nginx-light", purpose: "a proxy to compare with" },
    Need {
        thing: Thing::File("/usr/lib/nginx/modules/ngx_stream_module.so"),
        package: "libnginx-mod-stream",
        purpose: "lets nginx relay anything",
    },
    Need { thing: Thing::Program("taskset"), package: "util-linux", purpose: "gives each program its core" },
];

impl Need {
    fn is_met(&self) -> bool {
        match self.thing {
            Thing::Program(name) => find_program(name).is_some(),
            Thing::File(path) => Path::new(path).is_file(),
        }
    }

    fn what(&self) -> &'static str {
        match self.thing {
            Thing::Program(name) | Thing::File(name) => name,
        }
    }
}

/// What is to be done about what is missing.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Install(Vec<&'static str>),
    Tell(String),
}

fn missing(needs: &'static [Need], is_met: impl Fn(&Need) -> bool) -> Vec<&'static Need> {
    needs.iter().filter(|need| !is_met(need)).collect()
}

fn plan(missing: &[&'static Need], has_apt: bool, is_root: bool) -> Plan {
    if missing.is_empty() {
        return Plan::Nothing;
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let list = packages.join(" ");
    match (has_apt, is_root) {
        (true, true) => Plan::Install(packages),
        (true, false) => Plan::Tell(format!(
            "the tests need more than is here, and only root can install it. Run:\n  \
             sudo apt-get update && sudo apt-get install --no-install-recommends {list}\n\
             then this command again"
        )),
        (false, _) => {
            let things: Vec<&str> = missing.iter().map(|need| need.what()).collect();
            Plan::Tell(format!(
                "the tests need {}, and there is no apt-get here to install them. \
                 Install them with the system's own tool (Debian calls the packages {list}), \
                 then run this command again",
                things.join(", ")
            ))
        }
    }
}

fn install(packages: &[&'static str]) -> Outcome {
    println!("installing {}", packages.join(", "));
    keep_services_from_starting(packages)?;
    // The lists may be absent (a fresh container) or too old for the mirrors: they are fetched only then.
    let known = succeeds(apt_get().arg("--simulate").args(INSTALL).args(packages));
    if known && run_command(apt_get().args(INSTALL).args(packages)).is_ok() {
        return Ok(());
    }
    run_command(apt_get().arg("update"))?;
    run_command(apt_get().args(INSTALL).args(packages))
}

/// A package that is installed and lacks its program, or was deleted from, must not pass for success.
fn all_met(still_missing: &[&'static Need]) -> Outcome {
    match still_missing.first() {
        None => Ok(()),
        Some(need) => {
            Err(format!("package {} is installed, and {} is still not there", need.package, need.what())
                .into())
        }
    }
}

const INSTALL: [&str; 3] = ["install", "--yes", "--no-install-recommends"];

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Services that come with the packages. The tests start the programs themselves.
const SERVICES: [(&str, &[&str]); 6] = [
    ("unbound", &["unbound.service", "unbound-resolvconf.service"]),
    ("bind9", &["named.service", "named-resolvconf.service"]),
    ("knot", &["knot.service"]),
    ("nsd", &["nsd.service"]),
    ("haproxy", &["haproxy.service"]),
    ("nginx-light", &["nginx.service"]),
];

/// A package may start its server at once, and make it the machine's own resolver: the services are masked before they exist.
fn keep_services_from_starting(packages: &[&'static str]) -> Outcome {
    let services = services_of(packages);
    if services.is_empty() || !Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    println!("the tests start these themselves: their services stay off (`systemctl unmask` undoes this)");
    run_command(Command::new("systemctl").arg("mask").args(services))
}

fn services_of(packages: &[&str]) -> Vec<&'static str> {
    let of_these = SERVICES.iter().filter(|(package, _)| packages.contains(package));
    of_these.flat_map(|(_, services)| services.iter().copied()).collect()
}

fn is_root() -> bool {
    let answer = Command::new("id").arg("-u").output();
    answer.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_but_openssl() -> Vec<&'static Need> {
        missing(NEEDS, |need| need.what() == "openssl")
    }

    #[test]
    fn nothing_is_installed_where_nothing_is_missing() {
        let none = missing(NEEDS, |_| true);
        assert_eq!(plan(&none, true, true), Plan::Nothing);
        assert_eq!(plan(&none, false, false), Plan::Nothing);
    }

    #[test]
    fn root_installs_only_what_is_missing() {
        let Plan::Install(packages) = plan(&all_but_openssl(), true, true) else { panic!("not installed") };
        assert!(packages.contains(&"unbound") && packages.contains(&"procps"), "{packages:?}");
        assert!(!packages.contains(&"openssl"), "{packages:?}");
    }

    #[test]
    fn others_are_told_the_very_command() {
        let Plan::Tell(sentence) = plan(&all_but_openssl(), true, false) else { panic!("not told") };
        assert!(
            sentence.contains("sudo apt-get install --no-install-recommends unbound bind9 "),
            "{sentence}"
        );
    }

    #[test]
    fn servers_that_packages_bring_stay_off() {
        assert_eq!(services_of(&["nsd", "curl"]), ["nsd.service"]);
        assert!(services_of(&["openssl"]).is_empty());
    }

    #[test]
    fn program_that_is_absent_after_installation_is_an_error() {
        assert!(all_met(&[]).is_ok());
        let said = all_met(&all_but_openssl()).err().map(|error| error.to_string());
        assert_eq!(said.as_deref(), Some("package unbound is installed, and unbound is still not there"));
    }

    #[test]
    fn without_apt_the_things_themselves_are_named() {
        let Plan::Tell(sentence) = plan(&all_but_openssl(), false, true) else { panic!("not told") };
        assert!(sentence.contains("unbound, named, "), "{sentence}");
        assert!(!sentence.contains("sudo"), "{sentence}");
    }
}
