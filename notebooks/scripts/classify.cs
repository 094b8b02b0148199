#:project ../../src/NotebookKit/NotebookKit.csproj
#:package FSharp.Core

// Finetunes the embedded encoder and answers messages: dotnet run notebooks/scripts/classify.cs "where is my parcel?"

using NotebookKit.Data;
using NotebookKit.Models;
using NotebookKit.Pipelines;
using NotebookKit.Training;

var data = DatasetCatalog.Load("support-intents");
var encoder = PretrainedEncoder.Open(RepositoryFolder.Data("models", "pocket-encoder"));
using var classifier = TextClassifier.FromPretrained(encoder, data.Labels, seed: 1);
new Finetuner(new FinetuneSettings { Seed = 1 }).Run(classifier, data.Train, data.Validation);

foreach (var message in args.Length > 0 ? args : ["my parcel says delivered but nothing is here"])
{
    var answer = classifier.Predict(message);
    Console.WriteLine($"{answer.Label} ({answer.Probability:P0}): {message}");
}
