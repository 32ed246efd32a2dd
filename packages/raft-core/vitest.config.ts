import { shared } from '@coracle/tooling-vitest'
import { defineProject } from 'vitest/config'

export default defineProject({
  ...shared,
  // Properties are computed, not waited for: how long that takes is the machine's business.
  test: { name: 'raft-core', isolate: false, testTimeout: 60_000 },
})
