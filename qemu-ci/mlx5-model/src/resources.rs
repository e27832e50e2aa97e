// SPDX-License-Identifier: GPL-2.0

//! Everything that the driver has made and has to destroy again.

use crate::queue::{Cq, Eq, Mkey, Rq, Sq, Tir};
use crate::table::Table;

const MAX_24: u32 = 0xff_ffff;

#[derive(Debug)]
pub struct Resources {
    pub uars: Table<()>,
    pub pds: Table<()>,
    pub domains: Table<()>,
    pub mkeys: Table<Mkey>,
    pub eqs: Table<Eq>,
    pub cqs: Table<Cq>,
    pub sqs: Table<Sq>,
    pub rqs: Table<Rq>,
    pub rqts: Table<Vec<u32>>,
    pub tirs: Table<Tir>,
    pub tiss: Table<()>,
    pub q_counters: Table<()>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            // The first pages are the initialisation segment.
            uars: Table::new("doorbell page", 4, 4095),
            pds: Table::new("protection domain", 1, 0xffff),
            domains: Table::new("transport domain", 1, 0xffff),
            mkeys: Table::new("memory key", 2, 0xf_ffff),
            eqs: Table::new("event queue", 1, 63),
            cqs: Table::new("completion queue", 1, 0xffff),
            sqs: Table::new("send queue", 0x100, 0xffff),
            rqs: Table::new("receive queue", 0x100, 0xffff),
            rqts: Table::new("indirection table", 1, MAX_24),
            tirs: Table::new("TIR", 1, MAX_24),
            tiss: Table::new("TIS", 1, MAX_24),
            q_counters: Table::new("queue counter", 1, 255),
        }
    }
}

impl Resources {
    /// What is left, by name.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        fn one<T>(t: &Table<T>) -> (&'static str, usize) {
            (t.name(), t.len())
        }
        vec![
            one(&self.uars),
            one(&self.pds),
            one(&self.domains),
            one(&self.mkeys),
            one(&self.eqs),
            one(&self.cqs),
            one(&self.sqs),
            one(&self.rqs),
            one(&self.rqts),
            one(&self.tirs),
            one(&self.tiss),
            one(&self.q_counters),
        ]
    }
}
