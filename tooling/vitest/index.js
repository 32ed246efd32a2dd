/**
 * What every package's tests share. Workspace packages resolve to their sources, so that tests
 * run without a build and a stack trace points at the code that was written.
 */
export const shared = {
  resolve: { conditions: ['@coracle/source'] },
  ssr: { resolve: { conditions: ['@coracle/source'], externalConditions: ['@coracle/source'] } },
}

/**
 * Properties are computed, and processes start, elect and stop: how long that takes is the machine's
 * business. A test that hangs is given up all the same.
 */
export const patience = { testTimeout: 60_000, hookTimeout: 60_000 }
