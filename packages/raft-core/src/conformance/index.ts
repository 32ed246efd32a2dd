/** Suites that any storage, transport or state machine must pass, whoever wrote it. */
