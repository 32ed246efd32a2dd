import { describe, expect, test } from 'vitest'
import { summary } from '../summary-reporter.js'
import { buildAndTest, run, vitest } from '../steps.js'

const fixtures = new URL('every-way-to-fail', import.meta.url).pathname

/** Runs the fixtures of one file, as `pnpm test` runs the workspace, and gives its last line. */
async function lastLine(file: string): Promise<string> {
  const built = () => run(process.execPath, ['--version'], 'ignore')
  return summary(await buildAndTest(built, () => vitest(['--root', fixtures, file], 'ignore')))
}

describe('a run ends with the line N passed, N failed', () => {
  test('when all is well', async () => {
    expect(await lastLine('passes')).toBe('2 passed, 0 failed')
  })

  test('when a test and a hook fail, and tests are skipped', async () => {
    expect(await lastLine('tests')).toBe('1 passed, 2 failed, 2 skipped')
  })

  test('when a file throws as it is loaded', async () => {
    expect(await lastLine('throws-on-import')).toBe('0 passed, 1 failed')
  })

  test('when a file holds no test', async () => {
    expect(await lastLine('empty')).toBe('0 passed, 1 failed')
  })

  test('when nobody handles a rejection', async () => {
    expect(await lastLine('unhandled')).toBe('1 passed, 1 failed')
  })

  test('when a test does not end in time', async () => {
    expect(await lastLine('endless')).toBe('0 passed, 1 failed')
  })

  test('when the process of the tests dies', async () => {
    expect(await lastLine('dies')).toMatch(/^0 passed, [12] failed$/)
  })

  test('when there is nothing to run', async () => {
    expect(await lastLine('no-such-file')).toBe('0 passed, 1 failed')
  })

  test('when the test runner dies before it has counted', async () => {
    const dies = () => run(process.execPath, ['-e', 'process.kill(process.pid)'], 'ignore')
    expect(summary(await buildAndTest(dies, dies))).toBe('0 passed, 1 failed')
  })

  test('when the build fails', async () => {
    const fails = () => run(process.execPath, ['-e', 'process.exit(1)'], 'ignore')
    const never = () => Promise.reject(new Error('the tests must not run'))
    expect(summary(await buildAndTest(fails, never))).toBe('0 passed, 1 failed')
  })

  test('when the program of the build is missing', async () => {
    const missing = () => run('no-such-program', [], 'ignore')
    expect(summary(await buildAndTest(missing, missing))).toBe('0 passed, 1 failed')
  })
})
