import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'tooling-tasks', testTimeout: 30_000 } })
