const { TestEnvironment } = require('jest-environment-node');

/**
 * Node's environment, with the modules that Node itself has loaded (nativeModules.cjs), and Node's own errors and
 * collections: those that a test makes are of the same types as the program's.
 */
module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    Object.assign(this.global, {
      importNatively: (url) => import(url),
      requireNatively: require,
      ...{
        Error,
        AggregateError,
        EvalError,
        RangeError,
        ReferenceError,
        SyntaxError,
        TypeError,
        URIError,
        Map,
        Set,
        Date,
      },
    });
  }
};
