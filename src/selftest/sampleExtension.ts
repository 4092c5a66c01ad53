/** The id of the sample extension, which follows from the public key in its manifest. */
export const sampleExtensionId = 'bjhabeflcgbaaeafjkekchefdmehkeon';
