import { patience, shared } from '@coracle/tooling-vitest'
import { defineProject } from 'vitest/config'

export default defineProject({
  ...shared,
  test: { name: 'kv-server', ...patience },
})
