import { patience, shared } from '@coracle/tooling-vitest'
import { defineProject } from 'vitest/config'

export default defineProject({
  ...shared,
  // A seed takes a tenth of a second on an idle machine, and many times that on a busy one.
  test: { name: 'simulator', ...patience },
})
