import { patience, shared } from '@coracle/tooling-vitest'
import { defineProject } from 'vitest/config'

export default defineProject({
  ...shared,
  // A real disk and real processes are slow where much else is going on. No test measures time.
  test: { name: 'storage-level', ...patience },
})
