/**
 * Builds the workspace, runs its tests, and ends with the line `N passed, N failed` whatever
 * happened. Arguments go to vitest.
 */
import { summary } from './summary-reporter.js'
import { buildAndTest, turbo, vitest } from './steps.js'

const counts = await buildAndTest(
  () => turbo('build'),
  () => vitest(process.argv.slice(2)),
)
process.exitCode = counts.failed === 0 ? 0 : 1
console.log(summary(counts))
