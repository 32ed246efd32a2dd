import { shared } from '@coracle/tooling-vitest'
import { defineProject } from 'vitest/config'

export default defineProject({
  ...shared,
  // Processes start, elect and stop: seconds on an idle machine, more on a busy one.
  test: { name: 'kv-server', testTimeout: 60_000, hookTimeout: 60_000 },
})
