//! Holds a pod's namespaces, and waits for its end.

fn main() {
    // The first process of a pod's namespaces: a signal without a handler does nothing to it, and the runtime kills it.
    loop {
        std::thread::park();
    }
}
