"""Medical images: DICOM and NIfTI files, how their greys are shown, and labels that are keyed by patient, study or series."""
