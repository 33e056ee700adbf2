//! How a suite becomes tests.

/// Runs a case to its end, on two threads of its own.
#[doc(hidden)]
pub fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(case);
}

/// One `#[test]` a case of `suite`, in modules named for its groups, each with what `open` makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($suite:ident, $open:ident, $($group:ident: [$($case:ident),* $(,)?])*) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $case() {
                        $crate::run(async {
                            let (subject, _guard) = super::$open().await;
                            $crate::$suite::$group::$case(subject).await;
                        });
                    }
                )*
            }
        )*
    };
}

/// The same for the cases of `suite` that set the time.
#[doc(hidden)]
#[macro_export]
macro_rules! __clocked_cases {
    ($suite:ident, $open:ident, $($case:ident,)*) => {
        mod clocked {
            $(
                #[test]
                fn $case() {
                    $crate::run(async {
                        let clock = $crate::TestClock::new();
                        let (subject, _guard) = super::$open(clock.clone()).await;
                        $crate::$suite::clocked::$case(subject, clock).await;
                    });
                }
            )*
        }
    };
}
