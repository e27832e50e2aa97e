// SPDX-License-Identifier: GPL-2.0

//! Faults on request: a command that fails, stays unanswered or comes late.

use crate::cmd::{status, Refuse};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No resources (ENOSPC or ENOMEM for the driver).
    NoResources,
    /// A limit is exceeded.
    Limit,
    BadParam,
    /// Internal error.
    Internal,
    /// Never answered: the driver's timeout.
    Timeout,
    /// Answered after some milliseconds.
    Late(u64),
}

impl Kind {
    pub fn parse(text: &str, ms: u64) -> Option<Self> {
        Some(match text {
            "no-resources" => Self::NoResources,
            "limit" => Self::Limit,
            "bad-param" => Self::BadParam,
            "internal" => Self::Internal,
            "timeout" => Self::Timeout,
            "late" => Self::Late(ms),
            _ => return None,
        })
    }
}

#[derive(Debug, Clone)]
pub struct Fault {
    /// Name of the command, such as `set_flow_table_entry`.
    pub command: String,
    pub kind: Kind,
    /// Commands to let pass first, and then to fail.
    pub skip: u64,
    pub times: u64,
}

impl Fault {
    /// Why the command is refused; `None` if it is to stay unanswered.
    pub fn refusal(&self) -> Option<Refuse> {
        let status = match self.kind {
            Kind::NoResources => status::NO_RES,
            Kind::Limit => status::LIM,
            Kind::BadParam => status::BAD_PARAM,
            Kind::Internal => status::INT_ERR,
            Kind::Timeout | Kind::Late(_) => return None,
        };
        Some(Refuse {
            status,
            syndrome: 0x00fa_0017,
            why: "a fault on request".into(),
        })
    }
}
