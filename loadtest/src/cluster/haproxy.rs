//! The load balancer's configuration, as a text. Pure. HAProxy passes TLS through, so it sees no call and holds no key; it only asks
//! the frontends' health listeners whether they are ready.

use std::fmt::Write as _;

use super::plan::Plan;

/// The configuration. If no frontend says that it is ready, whoever accepts connections gets them: a check that is wrong
/// everywhere must not take a service away that works.
pub fn configuration(plan: &Plan) -> String {
    let mut text = format!(
        r"global
    log stdout format raw daemon notice
    maxconn 1000

defaults
    log global
    mode tcp
    balance leastconn
    retries 2
    option redispatch
    # a frontend ends idle connections sooner than this
    timeout client 2m
    timeout server 2m
    timeout connect 1s
    timeout check 1s

frontend callers
    bind 127.0.0.1:{}
    use_backend failopen if {{ nbsrv(ready) lt 1 }}
    default_backend ready

# no `on-marked-down shutdown-sessions`: a frontend that drains is not ready, and finishes what it has
backend ready
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    default-server inter 500ms downinter 500ms fastinter 200ms fall 2 rise 1
",
        plan.balancer
    );
    for machine in &plan.machines {
        let (name, data, health) = (machine.name, machine.data, machine.frontend_health);
        let _infallible = writeln!(text, "    server {name} 127.0.0.1:{data} check port {health}");
    }
    text += "\nbackend failopen\n    option tcp-check\n    default-server inter 500ms fall 2 rise 1\n";
    for machine in &plan.machines {
        let _infallible = writeln!(text, "    server {} 127.0.0.1:{} check", machine.name, machine.data);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::plan::{Kept, consecutive};

    #[test]
    fn every_frontend_is_checked_where_it_tells_of_its_health_and_stays_when_none_is_ready() {
        let ports = consecutive(9000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("the ports differ");
        let text = configuration(&plan);
        assert!(text.contains("    bind 127.0.0.1:9000\n"), "{text}");
        assert!(text.contains("    server a1 127.0.0.1:9005 check port 9006\n"), "{text}");
        assert!(text.contains("    server b3 127.0.0.1:9035 check\n"), "{text}");
        assert!(text.contains("use_backend failopen if { nbsrv(ready) lt 1 }"), "{text}");
        assert_eq!(text.matches("    server ").count(), 12, "{text}");
        assert!(text.contains("mode tcp") && !text.contains("ssl"), "TLS is not its business: {text}");
    }
}
