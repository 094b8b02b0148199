Console.WriteLine("nbkit");
