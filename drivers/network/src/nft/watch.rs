//! Hearing of what other programs do to our table.

use super::{SUBSYSTEM, verb};
use crate::message::{Reply, attribute, string, u32_at};
use contract::network::Disturbance;

/// Bytes before the attributes of a message.
const FIXED: usize = 4;

/// What was heard of a table in the transaction under way.
#[derive(Debug)]
pub struct Watch {
    table: String,
    /// Address of the socket by which we change things ourselves.
    own: u32,
    heard: Option<String>,
}

impl Watch {
    /// Hears of one table, but for changes from the socket `own`.
    pub fn new(table: &str, own: u32) -> Self {
        Self { table: table.to_owned(), own, heard: None }
    }

    /// A disturbance once a transaction of others is complete.
    pub fn hear(&mut self, reply: &Reply) -> Option<Disturbance> {
        if reply.port == self.own {
            return None;
        }
        let body = reply.body.get(FIXED..)?;
        let kind = reply.kind.checked_sub(SUBSYSTEM)?;
        if kind == verb::NEWGEN {
            let what = self.heard.take()?;
            let name = attribute(body, 3).map(string);
            let process = attribute(body, 2).and_then(|p| p.try_into().ok()).map(u32::from_be_bytes);
            return Some(Disturbance { by: name.zip(process), what });
        }
        if kind == verb::NEWCHAIN && drops_forwarded(body) {
            self.heard.get_or_insert("another firewall drops what is forwarded now".into());
            return None;
        }
        let what = match kind {
            verb::DELTABLE => "the table",
            verb::DELCHAIN => "a chain",
            verb::DELRULE => "a rule",
            verb::DELSET => "a set",
            verb::DELSETELEM => "an entry",
            _ => return None,
        };
        if attribute(body, 1).map(string).as_deref() == Some(&*self.table) {
            // The last word is the largest: a table goes after what it holds.
            self.heard = Some(format!("{what} was deleted"));
        }
        None
    }
}

/// Whether it is `iptables`' forward chain, which now drops what it has no rule for.
fn drops_forwarded(chain: &[u8]) -> bool {
    let text = |kind| attribute(chain, kind).map(string);
    text(1).as_deref() == Some("filter")
        && text(3).as_deref() == Some("FORWARD")
        && attribute(chain, 5).map(|policy| u32_at(policy, 0)) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, split};

    fn heard(watch: &mut Watch, kind: u16, fill: impl FnOnce(&mut Message)) -> Option<Disturbance> {
        let mut message = Message::new(SUBSYSTEM | kind, 0, &[1, 0, 0, 0], "test");
        fill(&mut message);
        watch.hear(&split(&message.finish(1))[0])
    }

    #[test]
    fn a_transaction_of_others_is_told_at_its_end_with_its_program() {
        let mut watch = Watch::new("gantry", 7);
        let table = |name: &'static str| {
            move |m: &mut Message| {
                m.text(1, name);
            }
        };
        let end = |m: &mut Message| {
            m.be32(1, 5).be32(2, 42).text(3, "nft");
        };
        assert_eq!(heard(&mut watch, verb::DELTABLE, table("filter")), None);
        assert_eq!(heard(&mut watch, verb::NEWGEN, end), None, "another's table");
        assert_eq!(heard(&mut watch, verb::DELRULE, table("gantry")), None);
        assert_eq!(heard(&mut watch, verb::DELTABLE, table("gantry")), None);
        let told = heard(&mut watch, verb::NEWGEN, end).unwrap();
        assert_eq!((told.by, &*told.what), (Some(("nft".into(), 42)), "the table was deleted"));
        assert_eq!(heard(&mut watch, verb::NEWGEN, end), None, "once");
    }
}
