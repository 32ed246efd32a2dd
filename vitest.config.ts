import { existsSync, readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

/**
 * Applications start processes of their own and measure how long these take to answer. They are
 * tested after everything else, and one file at a time.
 */
const apps = readdirSync('apps')
  .filter((app) => existsSync(`apps/${app}/vitest.config.ts`))
  .map((app) => ({
    extends: `./apps/${app}/vitest.config.ts`,
    root: `./apps/${app}`,
    test: { maxWorkers: 1, sequence: { groupOrder: 1 } },
  }))

export default defineConfig({
  test: {
    projects: ['packages/*/vitest.config.ts', 'tooling/*/vitest.config.ts', ...apps],
    maxWorkers: '100%',
    reporters: [['default', { summary: false }], './tooling/tasks/summary-reporter.js'],
    // Output of tests that pass is noise.
    silent: 'passed-only',
    slowTestThreshold: 5_000,
  },
})
