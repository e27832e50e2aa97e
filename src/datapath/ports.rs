// SPDX-License-Identifier: GPL-2.0

//! A datapath's ports by number.

use core::convert::Infallible;

use kernel::prelude::*;

use kernel_ext::sync::rcu::{
    RcuArc,
    RcuRead,
    RcuSlot, //
};

use super::state::OvsGuard;
use crate::vport::Vport;

/// Ports in a page of the map.
const PAGE: usize = 256;

/// 256 ports with successive numbers.
struct PortPage {
    slots: [RcuSlot<Vport>; PAGE],
}

/// Ports by number, in two steps of 256: two loads, whatever the number of
/// ports. Read under RCU, changed under `ovs_mutex`.
///
/// C: `datapath.ports`, a hash table of 1,024 lists.
pub(crate) struct PortMap {
    pages: KVec<RcuSlot<PortPage>>,
}

impl PortMap {
    /// A map without ports.
    pub(crate) fn new() -> Result<Self> {
        let mut pages = KVec::with_capacity(PAGE, GFP_KERNEL)?;
        for _ in 0..PAGE {
            pages.push(RcuSlot::empty(), GFP_KERNEL)?;
        }
        Ok(Self { pages })
    }

    /// The page of a port number and its place there.
    ///
    /// C: `vport_hash_bucket()`.
    #[inline]
    fn locate(&self, port_no: u32) -> Option<(&RcuSlot<PortPage>, usize)> {
        let page = self.pages.get((port_no >> 8) as usize)?;
        Some((page, (port_no & 0xff) as usize))
    }

    /// The port with this number.
    ///
    /// C: `ovs_lookup_vport()`.
    #[inline]
    pub(crate) fn get<'g>(&self, port_no: u32, rcu: RcuRead<'g>) -> Option<&'g Vport> {
        let (page, place) = self.locate(port_no)?;
        page.get(rcu)?.slots.get(place)?.get(rcu)
    }

    /// The port with this number, with a reference of its own.
    pub(crate) fn load(&self, port_no: u32) -> Option<RcuArc<Vport>> {
        let (page, place) = self.locate(port_no)?;
        page.load()?.slots.get(place)?.load()
    }

    /// Puts a port in, at its number.
    pub(crate) fn add(&self, _lock: &OvsGuard, port_no: u16, port: RcuArc<Vport>) -> Result {
        let (page, place) = self.locate(u32::from(port_no)).ok_or(EFBIG)?;
        if page.is_empty() {
            let fresh = init!(PortPage {
                slots <- pin_init::init_array_from_fn(|_| RcuSlot::empty()),
            });
            page.replace(Some(RcuArc::init::<Infallible>(fresh, GFP_KERNEL)?));
        }
        let page = page.load().ok_or(ENOMEM)?;
        page.slots.get(place).ok_or(EFBIG)?.replace(Some(port));
        Ok(())
    }

    /// Takes the port with this number out.
    pub(crate) fn remove(&self, _lock: &OvsGuard, port_no: u16) -> Option<RcuArc<Vport>> {
        let (page, place) = self.locate(u32::from(port_no))?;
        page.load()?.slots.get(place)?.replace(None)
    }

    /// The port with the lowest number that is at least `from`.
    pub(crate) fn next<'g>(&self, from: u32, rcu: RcuRead<'g>) -> Option<&'g Vport> {
        let (mut page_no, mut place) = ((from >> 8) as usize, (from & 0xff) as usize);
        while let Some(page) = self.pages.get(page_no) {
            if let Some(page) = page.get(rcu) {
                let found = page.slots.iter().skip(place).find_map(|slot| slot.get(rcu));
                if found.is_some() {
                    return found;
                }
            }
            page_no = page_no.wrapping_add(1);
            place = 0;
        }
        None
    }

    /// The port with the lowest number that is at least `from`, with a reference
    /// of its own.
    pub(crate) fn next_load(&self, from: u32) -> Option<RcuArc<Vport>> {
        let guard = kernel::sync::rcu::read_lock();
        let port_no = self.next(from, RcuRead::from(&guard))?.port_no();
        self.load(u32::from(port_no))
    }
}
