//! [`Woken`]: which children of a set are to be polled.

use std::task::Waker;

use asyncio_base::shim::Mutex;

/// Who was woken, in that order.
#[derive(Default)]
pub(crate) struct Woken {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    children: Vec<usize>,
    /// By the child's number: whether it is in that list. It may be shorter than the set.
    is_listed: Vec<bool>,
    /// Whoever polls the set.
    parent: Option<Waker>,
}

impl Woken {
    /// A child is to be polled (N1).
    pub(super) fn wake(&self, index: usize) {
        let parent = {
            let mut state = self.state.lock();
            state.list(index);
            state.parent.take()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }

    /// Gives a list of those that are new, and takes the list of all that are to be polled: who was woken, and then who is new, each once. From now
    /// on a wake of a child wakes `waker`.
    pub(super) fn exchange(&self, list: &mut Vec<usize>, waker: &Waker) {
        {
            let mut state = self.state.lock();
            if state.parent.as_ref().is_some_and(|former| former.will_wake(waker)) {
                return state.exchange(list);
            }
        }
        let waker = waker.clone();
        let mut state = self.state.lock();
        let former = state.parent.replace(waker);
        state.exchange(list);
        drop(state);
        drop(former);
    }

    /// Nobody polls the set any more.
    pub(super) fn forget_parent(&self) {
        let parent = self.state.lock().parent.take();
        drop(parent);
    }
}

impl State {
    fn list(&mut self, index: usize) {
        if index >= self.is_listed.len() {
            self.is_listed.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.is_listed[index], true) {
            self.children.push(index);
        }
    }

    fn exchange(&mut self, list: &mut Vec<usize>) {
        // Where nobody was woken the list of the new is the one that is wanted.
        if self.children.is_empty() {
            return;
        }
        for index in list.drain(..) {
            self.list(index);
        }
        for &index in &self.children {
            self.is_listed[index] = false;
        }
        std::mem::swap(&mut self.children, list);
    }
}
