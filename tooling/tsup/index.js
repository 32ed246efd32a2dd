import { defineConfig } from 'tsup'

/**
 * The build every package shares: ES modules, one file per entry point. Declarations are TypeScript's
 * own work, by `tsc -p tsconfig.build.json`: four times as fast as by way of this.
 *
 * @param {Record<string, string> | string[]} entry file to build per sub-path of the package
 * @param {import('tsup').Options} [options] what a package does differently
 */
export function library(entry, options = {}) {
  return defineConfig({
    entry,
    format: 'esm',
    target: 'node20',
    platform: 'neutral',
    sourcemap: true,
    clean: true,
    silent: true,
    ...options,
  })
}

/** The build of an application, which runs on Node only. */
export function application(entry, options = {}) {
  return library(entry, { platform: 'node', ...options })
}
