import { defineConfig } from 'tsup'

/**
 * The build every package shares: ES modules with declarations, one file per entry point.
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
    // tsup reads types through TypeScript 6, which calls some of tsup's own settings deprecated.
    dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
    ...options,
  })
}

/** The build of an application: no declarations, Node only. */
export function application(entry, options = {}) {
  return library(entry, { platform: 'node', dts: false, ...options })
}
