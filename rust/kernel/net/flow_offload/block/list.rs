// SPDX-License-Identifier: GPL-2.0

//! C's lists, as blocks have them.

use crate::bindings;

/// C: `INIT_LIST_HEAD()`.
///
/// # Safety
///
/// `head` must be valid for writes.
pub(super) unsafe fn list_init(head: *mut bindings::list_head) {
    // SAFETY: By the function's safety requirement.
    unsafe {
        (*head).next = head;
        (*head).prev = head;
    }
}

/// C: `list_del()`.
///
/// # Safety
///
/// `entry` must be in a valid list.
pub(super) unsafe fn list_del(entry: *mut bindings::list_head) {
    // SAFETY: By the function's safety requirement.
    unsafe {
        let (next, prev) = ((*entry).next, (*entry).prev);
        (*prev).next = next;
        (*next).prev = prev;
    }
}

/// Moves all entries of a list to an empty one.
///
/// # Safety
///
/// Both must be valid lists, and `to` empty.
pub(super) unsafe fn list_splice(from: *mut bindings::list_head, to: *mut bindings::list_head) {
    // SAFETY: By the function's safety requirements.
    unsafe {
        if (*from).next == from {
            return;
        }
        let (first, last) = ((*from).next, (*from).prev);
        (*to).next = first;
        (*first).prev = to;
        (*to).prev = last;
        (*last).next = to;
        list_init(from);
    }
}

/// Frees the callbacks of a list.
///
/// # Safety
///
/// `head` must be a valid list of callbacks that their driver has unlinked from
/// its own list.
pub(super) unsafe fn free_callbacks(head: *mut bindings::list_head) {
    // SAFETY: By the function's safety requirements; each entry is the `list`
    // of a callback, and is left behind before it is freed.
    unsafe {
        let mut entry = (*head).next;
        while entry != head {
            let cb = kernel::container_of!(entry, bindings::flow_block_cb, list);
            entry = (*entry).next;
            bindings::flow_block_cb_free(cb);
        }
        list_init(head);
    }
}
