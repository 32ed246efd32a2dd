/**
 * What every package's tests share. Workspace packages resolve to their sources, so that tests
 * run without a build and a stack trace points at the code that was written.
 */
export const shared = {
  resolve: { conditions: ['@coracle/source'] },
  ssr: { resolve: { conditions: ['@coracle/source'], externalConditions: ['@coracle/source'] } },
}
