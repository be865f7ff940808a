//! The runtime that actors and probes share.

/// Runs `main` to its end: actors on this thread, probes on the threads of a tokio runtime.
///
/// # Errors
/// When the runtime's threads cannot be started.
pub fn run_system<F: Future>(main: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("probe").build()?;
    // actix-rt asks for a closure that it calls once; the runtime is made out here, where a failure
    // can be told.
    let runtime = std::cell::RefCell::new(Some(runtime));
    let system = actix_rt::System::with_tokio_rt(|| {
        #[expect(clippy::expect_used, reason = "actix-rt calls this once")]
        runtime.take().expect("the runtime is taken once")
    });
    Ok(system.block_on(main))
}
